"""RequestTimeout: whatever a script does, its request ends in time, with a 504 page and a
traceback of where it was. Its state is discarded; nobody else notices."""

import re
import select

import pytest

from harm import LIMIT, at_the_limit, check_page, counting, first, unharmed
from servers import HASTY, wait_until

DAEMON = {"RequestTimeout": LIMIT, "Watchdog": 0, "LuaMaxStates": 2}
MESSAGE = r"time limit exceeded \(RequestTimeout\)"


# ThreadSanitizer holds a signal back until the thread calls a function that it knows. Its
# build has a hook that does; debug.sethook takes that away, and Lua turns it off while a
# finalizer runs.
HELD = pytest.mark.not_under("thread", reason="the signal never comes")


def rows(table):
    """Parameters and names of tests from rows of a name and code."""
    return [pytest.param(*row[1:], id=row[0], marks=[HELD] if re.search(
        "sethook|given|__gc's error", "".join(row)) else []) for row in table]


def check_beaten(daemon, page, query="bad"):
    """The page is 504 at the limit, and the log has where the script was."""
    with at_the_limit():
        response = daemon.get(page, query)
    text = check_page(response, 504)
    assert daemon.site.root not in text
    path = daemon.site.path(page)
    daemon.expect_error(" %s: .*%s" % (re.escape(path), MESSAGE))
    daemon.wait_log(" %s: stack traceback:" % re.escape(path), "error")
    daemon.wait_log(r"%s:\d+: in |%s:\d+>" % ((re.escape(page),) * 2), "error")


# -- at run: name, code, and what comes before main --

LOOP = "while true do end"
RUNNING = [
    ("while true", LOOP, ""),
    ("repeat", "repeat until false", ""),
    ("for", "for i = 1, math.maxinteger do end", ""),
    ("goto", "::again:: goto again", ""),
    ("calls", "local function f() end while true do f() end", ""),
    ("tail calls", "local function f() return f() end f()", ""),
    ("calls of C", "while true do math.abs(1) end", ""),
    ("pcall around", "pcall(function() while true do end end)", ""),
    ("pcall in a loop", "while true do pcall(function() while true do end end) end", ""),
    ("pcall nest", "local function f() while true do pcall(f) end end f()", ""),
    ("pcall of pcall", "while true do pcall(pcall, pcall, error) end", ""),
    ("error in a loop", "while true do pcall(error, {}) end", ""),
    ("pcall 100 deep", "local function nest(n) while true do pcall(nest, n - 1) end end "
                       "local function deep(n) if n == 0 then while true do end end "
                       "while true do pcall(deep, n - 1) end end deep(100)", ""),
    ("xpcall", "xpcall(function() while true do end end, debug.traceback)", ""),
    ("xpcall handler", "xpcall(error, function() while true do end end)", ""),
    ("xpcall handler that catches", "xpcall(error, function() while true do "
     "pcall(function() while true do end end) end end)", ""),
    ("xpcall handler of the limit's error", "while true do xpcall(function() while true do "
     "end end, function() while true do end end) end", ""),
    ("xpcall handler in C", "while true do xpcall(function() while true do end end, pcall) end",
     ""),
    ("xpcall as handler", "local function h() xpcall(error, h) while true do end end "
                          "while true do xpcall(error, h) end", ""),
    ("xpcall of a callable handler", "while true do xpcall(function() while true do end end, "
     "function(m) return setmetatable({}, {__tostring = function() while true do end end}) end)"
     " end", ""),
    ("sort callback", "local t = {} for i = 1, 50 do t[i] = i end "
                      "table.sort(t, function() while true do end end)", ""),
    ("sort callback that catches", "local t = {} for i = 1, 50 do t[i] = i end "
     "while true do table.sort(t, function(a, b) pcall(function() while true do end end) "
     "return a < b end) end", ""),
    ("gsub callback", "('x'):gsub('.', function() while true do end end)", ""),
    ("gsub callback that catches", "('x'):rep(1000):gsub('.', function() "
     "pcall(function() while true do end end) end) while true do end", ""),
    ("gsub by __index", "('x'):gsub('.', setmetatable({}, {__index = function() "
                        "while true do end end}))", ""),
    ("gsub by coroutine.wrap", "('x'):gsub('.', coroutine.wrap(function() while true do end "
                               "end))", ""),
    ("gsub by a yielding coroutine", "local f = coroutine.wrap(function() while true do "
     "coroutine.yield('y') end end) while true do ('xx'):gsub('.', f) end", ""),
    ("load reader", "load(function() while true do end end)", ""),
    ("loaded text", "load('while true do end')()", ""),
    ("resume", "coroutine.resume(coroutine.create(function() while true do end end))", ""),
    ("resume in a loop", "while true do coroutine.resume(coroutine.create(function() "
                         "while true do end end)) end", ""),
    ("wrap", "coroutine.wrap(function() while true do end end)()", ""),
    ("wrap in pcall", "while true do pcall(coroutine.wrap(function() while true do end end)) "
                      "end", ""),
    ("pcall in wrap", "coroutine.wrap(function() while true do pcall(function() "
                      "while true do end end) end end)()", ""),
    ("coroutines 20 deep", "local function deep(n) if n == 0 then while true do end end "
     "while true do coroutine.resume(coroutine.create(deep), n - 1) end end deep(20)", ""),
    ("coroutines that yield", "for _ in coroutine.wrap(function() while true do "
                              "coroutine.yield(1) end end) do end", ""),
    ("two coroutines in turn", "while true do a() b() end",
     "local function f() while true do coroutine.yield() end end "
     "a, b = coroutine.wrap(f), coroutine.wrap(f)"),
    ("coroutine made at load", "coroutine.resume(co)",
     "co = coroutine.create(function() while true do end end)"),
    ("wrap made at load", "while true do pcall(co) end",
     "co = coroutine.wrap(function() while true do pcall(function() while true do end end) "
     "end end)"),
    ("coroutine begun at load", "while true do coroutine.resume(co) end",
     "co = coroutine.create(function() coroutine.yield() while true do end end) "
     "coroutine.resume(co)"),
    ("__index", "return setmetatable({}, {__index = function() while true do end end}).x", ""),
    ("__tostring", "tostring(setmetatable({}, {__tostring = function() while true do end end}))",
     ""),
    ("__tostring of an error", "error(setmetatable({}, {__tostring = function() "
                               "while true do end end}))", ""),
    ("__pairs", "for k in pairs(setmetatable({}, {__pairs = function() while true do end end})) "
                "do end", ""),
    ("__lt in sort", "local m = {__lt = function() while true do end end} local t = {} "
     "for i = 1, 9 do t[i] = setmetatable({}, m) end table.sort(t)", ""),
    ("__gc by collectgarbage", "setmetatable({}, {__gc = function() while true do end end}) "
                               "collectgarbage() while true do end", ""),
    ("__gc that catches", "setmetatable({}, {__gc = function() while true do "
     "pcall(function() while true do end end) end end}) collectgarbage() while true do end", ""),
    ("__gc of garbage", "while true do setmetatable({}, {__gc = function() while true do end "
                        "end}) end", ""),
    ("__gc that makes another", "local function again() setmetatable({}, {__gc = again}) end "
                                "again() while true do collectgarbage() end", ""),
    ("__gc in a coroutine", "coroutine.wrap(function() setmetatable({}, {__gc = function() "
     "while true do end end}) collectgarbage() while true do end end)()", ""),
    ("__gc is a wrapped coroutine", "setmetatable({}, {__gc = coroutine.wrap(function() "
                                    "while true do end end)}) collectgarbage() "
                                    "while true do end", ""),
    ("__gc by debug.setmetatable", "debug.setmetatable({}, {__gc = function() while true do "
                                   "end end}) collectgarbage() while true do end", ""),
    ("__gc is pcall", "setmetatable({}, {__gc = pcall, __call = function() while true do end "
                      "end}) collectgarbage() while true do end", ""),
    ("__gc given later", "local m = {__gc = true} setmetatable({}, m) m.__gc = function() "
                         "while true do end end collectgarbage()", ""),
    ("__gc given later to many", "local m = {__gc = true} for i = 1, 1000 do setmetatable({}, m) "
     "end m.__gc = function() while true do end end while true do collectgarbage() end", ""),
    ("__gc given later, of garbage", "local m = {__gc = true} while true do setmetatable({}, m) "
     "m.__gc = function() while true do pcall(error) end end end", ""),
    ("__gc given by rawset", "local m = {__gc = 1} setmetatable({}, m) rawset(m, '__gc', "
     "function() while true do pcall(function() while true do end end) end end) "
     "while true do pcall(collectgarbage) end", ""),
    ("__gc given by another __gc", "local m = {__gc = true} setmetatable({}, m) "
     "setmetatable({}, {__gc = function() m.__gc = function() while true do end end end}) "
     "collectgarbage()", ""),
    ("__gc in a coroutine, given later", "local m = {__gc = true} setmetatable({}, m) "
     "m.__gc = function() while true do end end coroutine.wrap(collectgarbage)()", ""),
    ("allocations", "local t while true do t = {t and nil} end", ""),
    ("strings", "local i = 0 while true do i = i + 1 local s = 'x' .. i end", ""),
    ("closures", "while true do local f = function() return f end end", ""),
    ("sethook()", "debug.sethook() while true do debug.sethook() end", ""),
    ("sethook in pcall", "while true do pcall(debug.sethook) end", ""),
    ("sethook at load", LOOP, "debug.sethook()"),
    ("sethook of its own", "debug.sethook(function() end, '', 1) while true do end", ""),
    ("sethook that catches", "debug.sethook(function() pcall(error) end, 'crl', 1) "
                             "while true do end", ""),
    ("sethook in a coroutine", "coroutine.wrap(function() while true do pcall(function() "
                               "debug.sethook() end) end end)()", ""),
    ("sethook of the caller", "local main = coroutine.running() coroutine.wrap(function() "
     "while true do pcall(debug.sethook, main) end end)()", ""),
    ("sethook loop", "debug.sethook(function() while true do end end, 'l') local x = 1 x = 2",
     ""),
    ("handler of sethook's error", "xpcall(function() debug.sethook(function() error('x') end, '', "
     "1000) while true do end end, function() while true do end end)", ""),
    ("handler of sethook's error that catches", "while true do xpcall(function() "
     "debug.sethook(error, 'c') print() end, function() while true do pcall(function() "
     "while true do end end) end end) end", ""),
    ("__tostring of sethook's error", "debug.sethook(function() error(setmetatable({}, "
     "{__tostring = function() while true do end end})) end, '', 1000) while true do end", ""),
    ("handler of __gc's error", "local m = {__gc = true} setmetatable({}, m) m.__gc = function() "
     "xpcall(error, function() while true do end end) end collectgarbage()", ""),
    ("pcall nest in a coroutine", "coroutine.wrap(function() local function f() "
                                  "while true do pcall(f) end end f() end)()", ""),
    ("pcall nest in coroutines", "local function f() while true do pcall(f) end end "
     "local function deep(n) if n == 0 then f() end while true do pcall(coroutine.wrap(deep), "
     "n - 1) end end deep(20)", ""),
    ("xpcall nest in a coroutine", "coroutine.wrap(function() local function f() while true do "
     "xpcall(f, debug.traceback) end end f() end)()", ""),
    ("pcall nest of metamethods in a coroutine", "local t = setmetatable({}, {}) "
     "getmetatable(t).__index = function() while true do pcall(function() return t.x end) end end "
     "coroutine.wrap(function() return t.x end)()", ""),
    ("pcall nest in a coroutine that is resumed again", "local co = coroutine.create(function() "
     "local function f() while true do pcall(f) end end f() end) "
     "while true do coroutine.resume(co) end", ""),
    ("pcall nest in a coroutine that sorts", "coroutine.wrap(function() local function f() "
     "while true do pcall(table.sort, {1, 2}, f) end end f() end)()", ""),
    ("pcall nest that yields", "local function f() while true do pcall(f) coroutine.yield() end "
     "end local co = coroutine.wrap(f) while true do co() end", ""),
    ("removed standard library", "_G.debug, _G.coroutine, _G.setmetatable = nil "
                                 "while true do end", ""),
    ("find", "(' '):rep(1000000):find('.-.-x')", ""),
    ("find of optional items", "string.find(('a'):rep(60), ('a?'):rep(60) .. ('a'):rep(60))", ""),
    ("match", "(' '):rep(1000000):match('^%s*(.-)%s*.$x')", ""),
    ("match that trims", "local s = (' '):rep(500000) .. 'x' .. (' '):rep(500000) .. 'y' "
                         "for i = 1, 1000 do s:match('^(.-)%s*$') end", ""),
    ("gmatch", "for _ in (' '):rep(1000000):gmatch('.-x') do end", ""),
    ("gsub in pcall", "while true do pcall(string.gsub, (' '):rep(1000000), '%s+$x', '') end", ""),
    ("balanced match", "('('):rep(1000000):find('%b()')", ""),
    ("match in a coroutine", "coroutine.wrap(function() while true do "
     "pcall(string.match, (' '):rep(1000000), '.-.-x') end end)()", ""),
    ("table.move", "table.move({}, 1, math.maxinteger - 1, 1)", ""),
    ("table.move backward", "local t = {} table.move(t, 1, 1 << 60, 2)", ""),
    ("Receive in a loop", "while true do Receive() end", ""),
    ("Log in a loop", "while true do Dir() end", ""),
    ("Send and Reset in a loop", "while true do Send('x') Reset() end", ""),
]


@pytest.mark.parametrize("code, prelude", rows(RUNNING))
def test_time_limit_beats(solo, code, prelude):
    page = counting(solo, code, prelude)
    assert [first(solo, page), solo.get(page).text] == ["1", "2"]
    with unharmed(solo):
        check_beaten(solo, page)
    assert first(solo, page) == "1", "the state was used again"


@HELD
def test_time_limit_beats_a_finalizer_given_to_con(solo):
    """Whose metatable is the daemon's: the next con has the finalizer, and the next but one
    sees it collected."""
    page = solo.script("function main(env, con) if env.QUERY_STRING == 'give' then "
                       "debug.getmetatable(con).__gc = function() while true do end end end "
                       "if env.QUERY_STRING == 'bad' then con = nil collectgarbage() end "
                       "return 'as ever' end")
    with unharmed(solo):
        assert first(solo, page) == "as ever"
        assert [solo.get(page, query).text for query in ("give", "", "")] == ["as ever"] * 3
        check_beaten(solo, page)
        assert first(solo, page) == "as ever"


# -- at load --

LOADING = [
    ("while true", LOOP),
    ("pcall nest", "local function f() while true do pcall(f) end end f()"),
    ("coroutine", "while true do pcall(coroutine.wrap(function() while true do end end)) end"),
    ("gsub callback", "('x'):gsub('.', function() while true do end end)"),
    ("xpcall handler", "xpcall(error, function() while true do end end)"),
    ("__gc", "setmetatable({}, {__gc = function() while true do end end}) collectgarbage() "
             "while true do end"),
    ("sethook", "debug.sethook() while true do end"),
]


@pytest.mark.parametrize("code", rows(LOADING))
def test_time_limit_beats_at_load(solo, code):
    page = solo.script(code + " function main() return 'never' end")
    with unharmed(solo):
        for _ in range(2):
            check_beaten(solo, page)
        solo.site.write(page, "function main() return 'mended' end")
        wait_until(lambda: solo.get(page).text == "mended", "the script that was mended")


# -- while text is compiled --

# Labels are compared with those before them in their block, which may have 32,767.
LABELS = "".join("::a%d::x()" % n for n in range(32000))
TEXTS = {
    "labels": "do %s end " % LABELS,
    "gotos": "do local x %s ::a:: x = x end " % ("goto a " * 10000),
    "names from outside": "do " + "".join("local %s function f%d() " % (
        ",".join("v%d_%d" % (depth, n) for n in range(190)), depth) for depth in range(180)) +
        "x = x " * 20000 + "end " * 181,
}
ENOUGH = {"labels": 30, "gotos": 40, "names from outside": 8}  # for some seconds


@pytest.mark.parametrize("how", ["load(text)", "local n = 0 load(function() n = n + 1 "
                                 "return n == 1 and text or nil end)",
                                 "loadfile('text')", "pcall(dofile, 'text')",
                                 "while true do pcall(load, text) end"])
def test_time_limit_beats_compiling(solo, how):
    solo.site.write("text", TEXTS["labels"] * ENOUGH["labels"])
    page = counting(solo, "local text = io.open('text'):read('a') %s" % how)
    with unharmed(solo):
        assert first(solo, page) == "1"
        check_beaten(solo, page)
        assert first(solo, page) == "1"


@pytest.mark.parametrize("text", TEXTS)
def test_time_limit_beats_compiling_the_script(solo, text):
    page = solo.script("")
    with unharmed(solo):
        solo.site.write(page, TEXTS[text] * ENOUGH[text] + "function main() return 'never' end")
        for _ in range(2):
            with at_the_limit():
                check_page(solo.get(page), 504)
            solo.expect_error(MESSAGE + " while the script was compiled")
        solo.site.write(page, "function main() return 'mended' end")
        wait_until(lambda: solo.get(page).text == "mended", "the script that was mended")


@pytest.mark.parametrize("how", ["require 'endless'", "dofile('endless.lua')",
                                 "loadfile('endless.lua')()", "pcall(require, 'endless')"])
@pytest.mark.parametrize("at_load", [True, False])
def test_time_limit_beats_a_module(solo, how, at_load):
    solo.site.write("endless.lua", LOOP)
    page = solo.script((how + " function main() end") if at_load else
                       "function main() %s end" % how)
    with unharmed(solo), at_the_limit():
        check_page(solo.get(page), 504)
    solo.expect_error(MESSAGE)
    solo.wait_log(r"endless\.lua:1: in ", "error")


def test_time_limit_beats_the_startup_script(daemon, scratch):
    startup = scratch() + "/startup.lua"
    with open(startup, "w", encoding="ascii") as f:
        f.write("if io.open('slow') then while true do end end")
    d = daemon(binary=HASTY, WorkerThreads=1, RequestTimeout=LIMIT, StartupScript=startup)
    with unharmed(d):
        d.site.write("slow", "")
        with at_the_limit():
            check_page(d.run("function main() end"), 504)
        d.expect_error(MESSAGE)
        d.site.remove("slow")
        assert first(d, d.script("function main() return 'healthy' end")) == "healthy"


# Sleeping, unlike computing, takes the same time on a busy machine.
SLEEP = "os.execute('sleep %g')"


def test_time_limit_covers_load_and_run_together(daemon):
    """Each takes less than the limit."""
    d = daemon(binary=HASTY, WorkerThreads=1, RequestTimeout=1)
    page = d.script("%s function main() %s return 'done' end" % ((SLEEP % 0.7,) * 2))
    with unharmed(d):
        check_page(d.get(page), 504)
        d.expect_error(MESSAGE)


def test_each_request_has_the_whole_time(daemon):
    """A state is not charged for its earlier requests."""
    d = daemon(binary=HASTY, WorkerThreads=1, RequestTimeout=1)
    page = counting(d, SLEEP % 0.3)
    with unharmed(d):
        assert first(d, page) == "1"
        assert [d.get(page, "bad").text for _ in range(4)] == ["2", "3", "4", "5"]


# -- what comes after --

def test_log_says_where_the_script_was(solo):
    page = solo.script("""
local function innermost()
    while true do end
end
local function outer() innermost() return 1 end
function main()
    pcall(outer)
    while true do local elsewhere end
end""")
    with unharmed(solo):
        check_beaten(solo, page)
    solo.wait_log(r"%s:3: in (upvalue|function|local) .*innermost" % page)
    solo.wait_log(r"%s:5: in .*outer|%s:5>" % (page, page))
    assert not re.search(r"%s:8: in" % page, solo.log()[solo.mark:]), "where it went afterwards"


def test_nothing_of_the_script_is_in_the_504_page(solo):
    with unharmed(solo):
        response = solo.run("function main() Header('X-A', '1') Send('half') while true do end end")
        assert "half" not in check_page(response, 504)
        assert response.header("X-A") is None
        solo.expect_error(MESSAGE)


def test_time_limit_after_a_flush_cuts_the_stream_off(solo):
    with unharmed(solo):
        page = counting(solo, "Send('sent') Flush() while true do end")
        assert first(solo, page) == "1"
        response = solo.get(page, "bad")
        assert response.status == 200 and response.body == b"sent" and response.cut
        solo.expect_error(MESSAGE)


def test_finalizer_that_loops_after_the_response_costs_the_response_nothing(solo):
    """Garbage is collected once the response is out."""
    page = counting(solo, "setmetatable({}, {__gc = function() while true do end end}) "
                    "local s = ('x'):rep(300000)")
    with unharmed(solo):
        assert first(solo, page) == "1"
        assert solo.get(page, "bad").text == "2"
        solo.expect_error("collecting garbage")
        assert first(solo, page) == "1"


FINALIZERS = {
    "loop": "m = {__gc = function() while true do end end} keep = setmetatable({}, m)",
    "catching": "keep = setmetatable({}, {__gc = function() while true do pcall(function() "
                "while true do end end) end end})",
    "coroutine": "keep = setmetatable({}, {__gc = coroutine.wrap(function() while true do end "
                 "end)})",
    "C function": "keep = setmetatable({}, {__gc = pcall, __call = function() while true do end "
                  "end})",
    "given later": "m = {__gc = true} keep = setmetatable({}, m) "
                   "m.__gc = function() while true do end end",
    "replaced later": "m = {__gc = print} keep = setmetatable({}, m) m.__gc = pcall "
                      "m.__call = function() while true do end end",
    "of files": "keep = io.open('/dev/null') "
                "getmetatable(keep).__gc = function() while true do end end",
}


@pytest.mark.parametrize("finalizer", FINALIZERS.values(), ids=FINALIZERS)
@pytest.mark.parametrize("by", ["sweeper", "worker", "collection"])
def test_finalizer_that_loops_does_not_hold_up_the_closing_of_a_state(daemon, finalizer, by):
    """By the sweeper, when the file has changed; by the worker, after the time limit; or
    when garbage is collected after the response."""
    d = daemon(binary=HASTY, WorkerThreads=1, RequestTimeout=LIMIT, Watchdog=0)
    code = {"worker": LOOP, "sweeper": "",
            "collection": "keep = nil local s = ('x'):rep(300000)"}[by]
    page = counting(d, code, finalizer)
    with unharmed(d):
        assert first(d, page) == "1"
        assert d.get(page, "bad").status == (504 if by == "worker" else 200)
        d.any_errors = True
        d.site.write(page, "function main() return 'new' end")
        wait_until(lambda: d.get(page).text == "new", "the edited script")
        check_beaten(d, counting(d, LOOP))


def test_client_that_does_not_read_holds_no_late_worker(daemon):
    """The signals that a late worker gets must not make its wait for the client longer."""
    d = daemon(binary=HASTY, WorkerThreads=1, RequestTimeout=LIMIT, WriteTimeout=4 * LIMIT)
    d.any_errors = True
    page = d.script("function main() Send(('x'):rep(4000000)) Flush() end")
    with unharmed(d), d.open(page).end():
        assert first(d, d.script("function main() return 'next' end")) == "next"


def test_request_timeout_of_zero_is_none(daemon):
    d = daemon(WorkerThreads=1, RequestTimeout=0, warns="RequestTimeout")
    with unharmed(d):
        assert d.main("for i = 1, 30000000 do end %s return 'done'" %
                      (SLEEP % LIMIT)).text == "done"


def test_request_timeout_changes_by_reload(daemon):
    d = daemon(binary=HASTY, WorkerThreads=1, RequestTimeout=3600)
    page = counting(d, LOOP)
    assert first(d, page) == "1"
    d.reload(RequestTimeout=LIMIT)
    with unharmed(d):
        check_beaten(d, page)


def test_workers_are_late_independently(daemon):
    """One that is in time is not disturbed by the late ones beside it."""
    d = daemon(WorkerThreads=4, RequestTimeout=LIMIT * 6, LuaMaxStates=8)
    bad, good = counting(d, LOOP), d.script(
        "function main() Send('a') Flush() Receive() Send('b') end")
    assert [d.get(bad).status, d.get(good).status] == [200, 200]
    late = [d.open(bad, "GET", query="bad").end() for _ in range(3)]
    while select.select([c.sock for c in late], [], [], LIMIT / 8)[0] == []:
        assert d.get(good).text == "ab"
    assert [c.response().status for c in late] == [504] * 3
    d.expect_error(MESSAGE)
    assert (d.get(bad).status, d.get(good).text) == (200, "ab")


def test_body_that_is_awaited_counts(solo):
    """A client that is slow to send holds a worker no longer than a script that loops."""
    page = solo.script("function main() local b = Receive() while true do end end")
    with unharmed(solo):
        with at_the_limit(), solo.open(page) as c:
            assert c.response().status in (400, 504)
        solo.any_errors = True
