"""ScriptMemoryLimit: a script that wants more than its share fails alone, and the memory
goes back to the system."""

import os
import threading

import pytest

from harm import OWN_MEMORY, check_page, counting, status_field, unharmed
from servers import HASTY, PATIENCE, SANITIZER, wait_until

MAX = 4 << 20  # bytes
DAEMON = {"ScriptMemoryLimit": MAX, "RequestTimeout": 60, "LuaMaxStates": 2}
MESSAGE = r"memory limit exceeded \(ScriptMemoryLimit\)"
MANY = int(os.environ.get("LUAFCGID2_MANY", "100" if SANITIZER else "1000"))

BOMB = "local t = {} while true do t[#t + 1] = {} end"
BOMBS = [  # name, code, and what comes before main
    ("string.rep", "local s = ('x'):rep(1 << 30)", ""),
    ("doubling", "local s = 'x' while true do s = s .. s end", ""),
    ("table.concat", "local t = {} for i = 1, 1000 do t[i] = ('x'):rep(10000) end "
                     "return #table.concat(t)", ""),
    ("string.format", "local s = ('x'):rep(1000000) return #('%s%s%s%s%s'):format(s, s, s, s, s)",
     ""),
    ("gsub", "return #(('x'):rep(100000):gsub('.', ('y'):rep(1000)))", ""),
    ("table of tables", BOMB, ""),
    ("table of strings", "local t = {} for i = 1, math.huge do t[i] = i .. 'x' end", ""),
    ("large array", "local t = {} for i = 1, math.huge do t[i] = i end", ""),
    ("closures", "local f while true do local g = f f = function() return g end end", ""),
    ("coroutines", "local t = {} while true do t[#t + 1] = coroutine.create(print) end", ""),
    ("in a coroutine", "coroutine.wrap(function() %s end)()" % BOMB, ""),
    ("by resume", "coroutine.resume(coroutine.create(function() %s end))" % BOMB, ""),
    ("collector stopped", "collectgarbage('stop') " + BOMB, ""),
    ("collector slow", "collectgarbage('setpause', 1000) %s" % BOMB, ""),
    ("pcall around", "pcall(function() %s end)" % BOMB, ""),
    ("pcall in a loop", "local t = {} while true do pcall(function() while true do "
                        "t[#t + 1] = {} end end) end", ""),
    ("pcall of string.rep", "while true do pcall(string.rep, 'x', 1 << 30) end", ""),
    ("xpcall", "xpcall(function() %s end, function() while true do end end)" % BOMB, ""),
    ("gsub callback", "('x'):gsub('.', function() %s end)" % BOMB, ""),
    ("sort callback", "table.sort({1, 2, 3}, function() %s end)" % BOMB, ""),
    ("__gc", "setmetatable({}, {__gc = function() %s end}) collectgarbage() "
             "while true do collectgarbage() end" % BOMB, ""),
    ("kept in a global", "kept = {} while true do kept[#kept + 1] = {} end", ""),
    ("coroutine made at load", "co()", "co = coroutine.wrap(function() %s end)" % BOMB),
    ("error of all memory", "local t = {} pcall(function() while true do t[#t + 1] = {} end end) "
                            "error(t)", ""),
    ("load", "load(function() return 'x = 1 ' end)", ""),
    ("unfinished request", "Send('half') Header('X-A', 'b') %s" % BOMB, ""),
    ("Send", "while true do Send(('x'):rep(1000)) end", ""),
    ("Send at once", "local s = ('x'):rep(1500000) Send(s, s, s)", ""),
    ("Send in pcall", "while true do pcall(Send, ('x'):rep(1000)) end", ""),
    ("con:puts", "while true do con:puts(('x'):rep(1000)) end", ""),
    ("returned", "return ('x'):rep(1500000) .. ('y'):rep(1500000)", ""),
]
EACH_BOMB = pytest.mark.parametrize("code, prelude", [b[1:] for b in BOMBS],
                                    ids=[b[0] for b in BOMBS])


@EACH_BOMB
def test_memory_limit_stops(solo, code, prelude):
    page = counting(solo, code, prelude)
    assert [solo.get(page).text for _ in range(2)] == ["1", "2"]
    with unharmed(solo):
        response = solo.get(page, "bad")
        assert "half" not in check_page(response, 500)
        line = solo.expect_error(MESSAGE)
        assert line.script == solo.site.path(page)
        solo.wait_log("stack traceback:", "error")
    assert solo.get(page).text == "1", "the state was used again"


@pytest.mark.parametrize("code", [
    BOMB, "local s = ('x'):rep(1 << 30)", "pcall(function() %s end)" % BOMB,
    "collectgarbage('stop') " + BOMB,
    "t = {} for i = 1, 1e7 do t[i] = i end"], ids=str)
def test_memory_limit_holds_at_load(solo, code):
    page = solo.script(code + " function main() return 'never' end")
    with unharmed(solo):
        for _ in range(3):
            check_page(solo.get(page), 500)
        solo.expect_error(MESSAGE)


def test_memory_limit_holds_while_compiling(solo):
    page = solo.script("function main() return {%s} end" % ("{1, 'a', x = {}}, " * 200000))
    with unharmed(solo):
        check_page(solo.get(page), 500)
        solo.expect_error("memory")


def test_memory_limit_holds_for_modules(solo):
    solo.site.write("bomb.lua", BOMB)
    with unharmed(solo):
        check_page(solo.run("function main() pcall(require, 'bomb') end"), 500)
        solo.expect_error(MESSAGE)


def test_script_may_recover_from_a_want_that_was_too_large(solo):
    """An error by which nothing was lost: what it asked for is all that it did not get."""
    page = counting(solo, "ok, message = pcall(string.rep, 'x', 1 << 62) "
                    "return tostring(ok) .. ' ' .. message")
    with unharmed(solo):
        assert solo.get(page, "bad").text.startswith("false ")
        assert "too large" in solo.get(page, "bad").text


def test_garbage_of_a_stopped_collector_stays_within_the_limit(solo):
    """It is collected when there is no room left, and the script goes on."""
    page = counting(solo, "collectgarbage('stop') for i = 1, 300000 do local t = {i} end")
    with unharmed(solo):
        before = solo.rss()
        assert [solo.get(page, "bad").text for _ in range(3)] == list("123")
        assert SANITIZER or solo.rss() < before + 2 * MAX


def test_script_just_within_its_memory_is_served(solo):
    page = counting(solo, "for i = 1, 20 do local s = ('x'):rep(%d) end" % (MAX // 10))
    with unharmed(solo):
        assert [solo.get(page, "bad").text for _ in range(5)] == list("12345")


def test_body_just_within_the_limit_is_sent_whole(solo):
    """It counts together with what Lua has."""
    count = (MAX - (300 << 10)) // 100000
    with unharmed(solo):
        assert len(solo.main("local s = ('x'):rep(100000) for i = 1, %d do Send(s) end" %
                             count).body) == count * 100000


def test_flushed_body_may_be_any_size(solo):
    with unharmed(solo):
        response = solo.main("local s = ('x'):rep(100000) for i = 1, 100 do Send(s) Flush() end")
        assert len(response.body) == 10000000


def test_memory_limit_of_one_state_is_not_anothers(daemon):
    """Beside a script that holds most of its share another one has all of its own."""
    d = daemon(WorkerThreads=2, ScriptMemoryLimit=MAX, LuaMaxStates=4)
    page = d.script("kept = {} for i = 1, %d do kept[i] = ('x'):rep(1000) .. i end "
                    "function main() Flush() Receive() return #kept end" % (MAX * 3 // 4 // 1050))
    held = [d.hold(page) for _ in range(2)]
    assert [c.end().response().raw for c in held] == [b"%d" % (MAX * 3 // 4 // 1050)] * 2


def test_memory_limit_of_zero_is_none(daemon):
    d = daemon(WorkerThreads=1, ScriptMemoryLimit=0, warns="ScriptMemoryLimit")
    with unharmed(d):
        assert d.main("return #('x'):rep(%d)" % (100 << 20)).text == str(100 << 20)


@OWN_MEMORY
@pytest.mark.parametrize("code", [
    "for i = 1, math.huge do kept[i] = {} end", "for i = 1, math.huge do kept[i] = i end",
    "local s = ('x'):rep(10000) while true do Send(s) end"], ids=["tables", "array", "Send"])
def test_memory_after_the_limit_goes_back_to_the_system(daemon, code):
    d = daemon(binary=HASTY, WorkerThreads=1, ScriptMemoryLimit=24 << 20)
    page = counting(d, code, "kept = {}")
    with unharmed(d):
        before = d.rss()
        check_page(d.get(page, "bad"), 500)
        d.expect_error(MESSAGE)
        wait_until(lambda: d.rss() < before + (4 << 20), "the memory to go back")


@OWN_MEMORY
@pytest.mark.parametrize("code", ["", BOMB], ids=["within", "full"])
def test_memory_limit_holds_for_finalizers_at_the_end_of_a_state(daemon, code):
    d = daemon(binary=HASTY, WorkerThreads=1, ScriptMemoryLimit=MAX)
    page = counting(d, code, "keep = setmetatable({}, {__gc = function() "
                    "local s = ('x'):rep(200 << 20) end})")
    d.any_errors = True
    with unharmed(d):
        assert d.get(page, "bad").status == (500 if code else 200)
        d.site.write(page, "function main() return 'new' end")
        wait_until(lambda: d.get(page).text == "new", "the new script")
    assert int(status_field(d, "VmHWM").split()[0]) << 10 < 100 << 20


def ask_by_many(daemon, pages, count, clients=4):
    """`count` requests that all fail, from several clients at once."""
    failures = []

    def client(todo):
        try:
            for page in todo:
                assert daemon.get(page, "bad", timeout=2 * PATIENCE).status == 500
        except BaseException as failure:  # shown by the main thread
            failures.append(failure)
    todo = [pages[i % len(pages)] for i in range(count)]
    threads = [threading.Thread(target=client, args=(todo[n::clients],)) for n in range(clients)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures, failures[0]


LARGE_PAGES = {
    "serialize": "local t = {} for i = 1, 200000 do t[i] = i .. 'abc' end Send(#lf.serialize(t))",
    "body": "local s = ('x'):rep(10000) for i = 1, 2500 do Send(s) end",
    "parse": "local form = ('abcdefgh=12345678&'):rep(900) for i = 1, 300 do lf.parse(form) end "
             "local t = {} for i = 1, 200000 do t[i] = i .. 'abc' end",
}


@OWN_MEMORY
@pytest.mark.alone
def test_memory_of_large_pages_goes_back_once_their_states_are_closed(daemon, capsys):
    d = daemon(WorkerThreads=4, LuaMaxStates=4, MinFileInfoTime=50)
    pages = {name: d.script("function main() %s end" % code) for name, code in LARGE_PAGES.items()}
    hello = d.script("function main() return 'hello' end")

    def client():
        for _ in range(2):
            for page in pages.values():
                assert d.get(page, timeout=2 * PATIENCE).status == 200
    assert d.get(hello).text == "hello"
    base = d.rss()
    clients = [threading.Thread(target=client) for _ in range(4)]
    for c in clients:
        c.start()
    for c in clients:
        c.join()
    most = d.rss()
    for page in pages.values():
        d.site.remove(page)
    wait_until(lambda: d.rss() < base + (4 << 20), "the memory to go back")
    with capsys.disabled():
        print("\nresident before large pages %d KiB, at most %d KiB, once they were closed %d KiB"
              % (base >> 10, most >> 10, d.rss() >> 10))
    assert d.get(hello).text == "hello"


@pytest.mark.alone
def test_memory_is_flat_over_a_thousand_requests_above_the_limit(daemon, capsys):
    d = daemon(WorkerThreads=4, ScriptMemoryLimit=2 << 20, LuaMaxStates=4)
    d.any_errors = True
    pages = [counting(d, code, prelude) for name, code, prelude in BOMBS
             if name in ("string.rep", "table of tables", "large array", "collector stopped",
                         "pcall around", "Send", "kept in a global", "in a coroutine")]
    ask_by_many(d, pages, MANY // 10)
    samples = [d.rss()]
    for _ in range(9):
        ask_by_many(d, pages, MANY // 10)
        samples.append(d.rss())
    with capsys.disabled():
        print("\n%d requests above ScriptMemoryLimit: resident after %d of them %d KiB, then at "
              "most %d KiB, at the end %d KiB" % (MANY, MANY // 10, samples[0] >> 10,
                                                  max(samples) >> 10, samples[-1] >> 10))
    if not SANITIZER:  # the last states are closed after their responses
        assert max(samples) <= samples[0] + (16 << 20)
        wait_until(lambda: d.rss() <= samples[0] + (4 << 20), "the memory to be what it was")
    assert d.get(pages[0]).text == "1"
