"""Waiting: Sleep, Wait, TimeLimit and Finish, and what a request is like after it has
waited. Most is tried in the three styles of entry points."""

import signal
import threading
import time

import pytest

import fastcgi
import servers

DAEMON = {"WorkerThreads": 2, "RequestTimeout": 30, "LuaMaxStates": 4, "StatusPath": "/status"}

# An entry point of each style with a body; how it sends, and how it calls a function that
# waits.
STYLES = {
    "globals": ("function main(env, con)\n%s\nend", "Send(%s)", "%s(%s)"),
    "methods": ("function main(env, con)\n%s\nend", "con:puts(%s)", "con:%s(%s)"),
    "handler": ("local out = {}\nfunction handler(env, con)\nout = {}\n%s\n"
                "return table.concat(out)\nend", "out[#out + 1] = %s", "con:%s(%s)"),
}


class Style:
    def __init__(self, name):
        self.name = name
        self.entry, self._send, self._wait = STYLES[name]

    def send(self, expression):
        return self._send % expression

    def call(self, function, arguments=""):
        return self._wait % (function if self.name == "globals" else function.lower(),
                             arguments)

    def script(self, body):
        return self.entry % body


@pytest.fixture(params=sorted(STYLES))
def style(request):
    return Style(request.param)


def together(count, function):
    """Calls function(0) to function(count - 1) at the same time; what they return."""
    results, threads = [None] * count, []

    def run(i):
        results[i] = function(i)
    for i in range(count):
        threads.append(threading.Thread(target=run, args=(i,)))
        threads[-1].start()
    for thread in threads:
        thread.join()
    return results


# -- Sleep --

def test_sleep_returns_when_the_time_is_over(web, style):
    name = web.script(style.script("%s\n%s" % (style.call("Sleep", "0.3"), style.send("'up'"))))
    begun = time.monotonic()
    assert web.get(name).text == "up"
    assert time.monotonic() - begun >= 0.3


def test_requests_that_wait_need_no_worker(web, style):
    """Eight times as many as there are workers; and another is served meanwhile."""
    name = web.script(style.script("local f repeat %s f = io.open(%s) until f f:close()\n%s" % (
        style.call("Sleep", "0.1"), servers.lua(web.site.path("up")), style.send("'up'"))))
    quick = web.script("function main() Send('quick') end")

    def ask(i):
        if i < 16:
            return web.get(name).text
        servers.wait_until(lambda: web.waiting() >= 10, "more to wait than workers are")
        assert web.get(quick).text == "quick"
        return web.site.write("up", "")
    assert together(17, ask)[:16] == ["up"] * 16


def test_sleep_of_no_time_lets_others_go_first(web):
    assert web.main("for i = 1, 100 do Sleep(0) Sleep(-1) end Send('done')").text == "done"


def test_a_fraction_of_a_second_is_not_cut_short(web):
    got = web.main("""
        for i = 1, 20 do Sleep(0.013) end
        Send('done')""")
    assert got.text == "done"


# -- Wait --

PIPE = "local f = assert(io.popen(%s))\n"
# A shell that has begun, and so needs its directory no more.
SLEEPER = "local f = io.popen('echo x; exec sleep 1000') f:read() "


def test_wait_returns_r_when_a_descriptor_can_be_read(web, style):
    code = (PIPE % "'sleep 0.3; echo here'" +
            "local got = %s\n%s" % (style.call("Wait", "f"), style.send("got .. f:read('a')")))
    assert web.run(style.script(code)).text == "rhere\n"


def test_many_requests_wait_for_descriptors_on_two_workers(web):
    name = web.script("function main() local f = io.popen('until test -e up; do sleep 0.1; done; "
                      "echo x') Send(Wait(f, 'r')) f:close() end")

    def ask(i):
        if i < 24:
            return web.get(name).text
        servers.wait_until(lambda: web.waiting() == 24, "all to wait")
        return web.site.write("up", "")
    assert together(25, ask)[:24] == ["r"] * 24


def test_wait_returns_w_when_a_descriptor_can_be_written(web, style):
    code = (PIPE % "'cat >/dev/null', 'w'" +
            "local got = %s\nf:close()\n%s" % (style.call("Wait", "f, 'w'"), style.send("got")))
    assert web.run(style.script(code)).text == "w"


def test_wait_for_either_says_which(web, style):
    code = (PIPE % "'cat >/dev/null', 'w'" +
            "local got = %s\nf:close()\n%s" % (style.call("Wait", "f, 'rw', 20"),
                                               style.send("got")))
    assert web.run(style.script(code)).text == "w"


def test_wait_returns_nil_and_timeout_when_the_time_is_over(web, style):
    code = (SLEEPER + "local a, b = %s\n%s" %
            (style.call("Wait", "f, 'r', 0.2"), style.send("tostring(a) .. b")))
    assert web.run(style.script(code)).text == "niltimeout"


def test_a_plain_file_is_ready_at_once(web):
    assert web.main("local f = io.tmpfile() Send(Wait(f, 'rw'))").text == "rw"


def test_wait_takes_an_object_with_getfd(web):
    code = PIPE % "'sleep 0.1; echo x'" + """
        local object = {getfd = function(self) assert(self.me) return 1 end, me = true}
        Send(Wait(object, 'w'), Wait(f))"""
    assert web.main(code).text == "wr"


def test_a_descriptor_may_be_waited_for_by_several(web):
    """Its number is the same in each request: the daemon's standard error."""
    name = web.script("function main() Send(Wait(2, 'w'), Wait(2, 'w', 10)) end")
    assert [r.text for r in together(8, lambda i: web.get(name))] == ["ww"] * 8


def test_a_wrong_argument_is_an_error_that_names_it(web):
    for call, what in [("Wait(-1)", "#1"), ("Wait(1e9)", "#1"), ("Wait('x')", "#1"),
                       ("Wait({})", "#1"), ("Wait(2, 'q')", "#2"), ("Wait(2, 'w', 'q')", "#3"),
                       ("Sleep()", "#1"), ("Sleep(0/0)", "#1"), ("TimeLimit(0)", "#1"),
                       ("TimeLimit({})", "#1")]:
        got = web.main("Send(tostring(select(2, pcall(function() %s end))))" % call).text
        assert "bad argument %s to" % what in got


# -- The clock --

def test_the_clock_stands_still_while_a_request_waits(daemon):
    d = daemon(WorkerThreads=1, RequestTimeout=2)
    assert d.main("for i = 1, 3 do Sleep(0.8) end Send('done')").text == "done"


def test_the_time_before_and_after_a_wait_counts(daemon):
    d = daemon(WorkerThreads=1, RequestTimeout=2)
    begun = time.monotonic()
    got = d.run("function main() while true do local t = os.clock() "
                "repeat until os.clock() - t > 0.1 Sleep(0.01) end end")
    assert got.status == 504
    assert time.monotonic() - begun > 1.5
    d.expect_error("time limit exceeded")


def test_pcall_does_not_catch_the_limit_after_a_wait(daemon):
    d = daemon(WorkerThreads=1, RequestTimeout=1)
    got = d.run("function main() while true do pcall(function() Sleep(0.01) "
                "local t = os.clock() repeat until os.clock() - t > 0.2 end) end end")
    assert got.status == 504
    d.expect_error("time limit exceeded")


def test_timelimit_gives_more_time(daemon, style):
    d = daemon(WorkerThreads=1, RequestTimeout=2)
    code = "%s\nlocal t = os.time() repeat until os.time() > t + 2\n%s" % (
        style.call("TimeLimit", "60"), style.send("'done'"))
    assert d.run(style.script(code)).text == "done"


def test_timelimit_gives_at_most_requesttimeoutmax(daemon, style):
    d = daemon(WorkerThreads=1, RequestTimeout=60, RequestTimeoutMax=1)
    got = d.run(style.script("assert(%s == 1)\nwhile true do end" %
                             style.call("TimeLimit", "100")))
    assert got.status == 504
    d.expect_error("time limit exceeded")
    assert d.main("Send(TimeLimit(0.5))").text == "0.5"


# -- The client goes, the daemon stops --

WAITS = {
    "sleep": "Sleep(1000)",
    "descriptor": "Wait(f)",
    "timeout": "Wait(f, 'r', 1000)",
    "pcall": "local ok, e = pcall(pcall, Sleep, 1000) error(e)",
    "coroutine": "coroutine.wrap(function() Sleep(1000) end)()",
    "sort": "table.sort({2, 1}, function(a, b) Sleep(1000) end)",
    "require": "package.preload.x = function() Sleep(1000) end require 'x'",
}


def before(kind):
    """What the script has done when its client learns that it waits."""
    return SLEEPER if kind in ("descriptor", "timeout") else ""


@pytest.mark.parametrize("kind", sorted(WAITS))
def test_a_wait_whose_client_has_gone_ends_the_request(web, kind):
    code = """
        ended = ended or 0
        if Env.QUERY_STRING == 'ended' then Send(ended) return end
        %s
        Send('waits') Flush()
        local mark = setmetatable({}, {__gc = function() ended = ended + 1 end})
        Log('%s begins')
        %s
        Log('must not come here ', mark)""" % (
            before(kind), kind, WAITS[kind])
    name = web.script("function main()\n%s\nend" % code)
    with web.open(name) as c:
        c.end()
        c.read_until("waits")
    seen = len(web.log())
    assert web.main("Send('alive')").text == "alive"
    wait_for_idle(web)
    assert "must not come here" not in web.log()[seen:]
    assert not [line for line in web.lines() if line.level == "error"]


@pytest.mark.parametrize("kind", sorted(WAITS.keys() - {"require"}))
def test_a_wait_of_a_request_that_is_aborted_ends_it(web, kind):
    """The web server says so on a connection that it keeps (FastCGI 5.4), and is told that
    the request is over."""
    name = web.script("""function main()
        %s
        Send('waits') Flush()
        %s
        Log('must not come here')\nend""" % (before(kind), WAITS[kind]))
    seen = len(web.log())
    with web.open(name, keep=True) as c:
        c.end()
        c.read_until("waits")
        c.send(fastcgi.record(fastcgi.ABORT_REQUEST))
        assert c.response().ended
        c.begin(web.site.params(web.script("function main() Send('next') end"))).end()
        assert c.response().text == "next"
    assert "must not come here" not in web.log()[seen:]
    assert not [line for line in web.lines() if line.level == "error"]


def test_an_abort_beside_an_unread_body_ends_the_wait(web):
    name = web.script("function main() Sleep(1000) end")
    with web.open(name, keep=True, CONTENT_LENGTH=100) as c:
        c.body("a part of it").send(fastcgi.record(fastcgi.ABORT_REQUEST))
        assert c.response().ended
        assert c.is_closed(servers.PATIENCE)  # the rest of a body that is cut is not known


def wait_for_idle(d):
    """Nobody has a connection to the daemon: its sockets are the listening one, and two of
    each worker's."""
    own = 1 + 2 * d.options["WorkerThreads"]
    servers.wait_until(lambda: len([link for link in d.descriptors()
                                    if link.startswith("socket:")]) <= own,
                       "all connections to close")


def test_what_a_script_does_after_the_end_of_a_wait_is_its_own_affair(web):
    """It may catch the error once, to tidy up; then it must not wait again."""
    name = web.script("""
        tidy = 0
        function main()
            if Env.QUERY_STRING == 'tidy' then Send(tidy) return end
            Send('waits') Flush()
            local ok, e = pcall(Sleep, 1000)
            tidy = tidy + 1
            Log('tidy: ', e)
            while true do pcall(Sleep, 1000) end
        end""")
    with web.open(name) as c:
        c.end()
        c.read_until("waits")
    web.wait_log("tidy: the client has gone")
    servers.wait_until(lambda: web.get(name, "tidy").text == "1", "the state to come back")


def test_bytes_of_the_next_request_end_no_wait(web):
    slow = web.script("function main() Log('waits') Sleep(1) Send('slow') end")
    quick = web.script("function main() Send('quick') end")
    with web.connect() as c:
        c.begin(web.site.params(slow), keep=True).end()
        c.begin(web.site.params(quick), keep=True, request_id=2)
        web.wait_log("waits")
        c.end(2)
        assert c.response().text == "slow"
        assert c.response(2).text == "quick"


def test_the_rest_of_a_body_ends_no_wait(web):
    name = web.script("function main() Sleep(0.3) Send(Receive()) end")
    with web.open(name, CONTENT_LENGTH=8) as c:
        c.body("four")
        c.body("more").end()
        assert c.response().text == "fourmore"


def test_a_client_that_went_before_the_wait_is_seen(web):
    name = web.script("function main() local t = os.clock() repeat until os.clock() - t > 0.3 "
                      "Log('begins to wait') Sleep(1000) Log('not this') end")
    with web.open(name) as c:
        c.end()
    web.wait_log("begins to wait")
    wait_for_idle(web)
    assert "not this" not in web.log()


@pytest.mark.parametrize("kind", sorted(WAITS))
def test_a_stop_ends_a_wait_at_once(daemon, kind):
    d = daemon(WorkerThreads=2)
    with d.open(d.script("function main() %s Send('waits') Flush() %s end" %
                         (before(kind), WAITS[kind]))) as c:
        c.end()
        c.read_until("waits")
        begun = time.monotonic()
        d.stop()
        assert time.monotonic() - begun < 20  # requests have 30 in which to end
        assert not c.response().ended
    assert not [line for line in d.lines() if line.level in ("warning", "error")]


def test_a_stop_tells_a_client_that_has_got_nothing_to_come_again(daemon):
    d = daemon(WorkerThreads=1)
    name = d.script("function main() Log('waits') Sleep(1000) end")
    with d.open(name) as c:
        c.end()
        d.wait_log("waits")
        d.stop()
        got = c.response()
    assert got.status == 503 and got.header("Retry-After")


def test_a_stop_with_many_that_wait_is_quick(daemon):
    d = daemon(WorkerThreads=4, LuaMaxStates=2)
    name = d.script("function main() Send('waits') Flush() Sleep(1000) end")
    clients = [d.open(name).end() for _ in range(300)]
    for c in clients:
        c.read_until("waits")
    begun = time.monotonic()
    d.stop()
    assert time.monotonic() - begun < 20
    for c in clients:
        assert not c.response().ended
        c.close()


# -- Finish --

def test_finish_gives_the_client_its_whole_response(web, style):
    """The script goes on until it is told that the response has come."""
    name = web.script(style.script(
        "Send('all')\nlocal ok = %s\nSend('more')\nlocal f repeat Sleep(0.02) f = "
        "io.open(%s) until f f:close()\nLog('went on: ', ok)" % (
            style.call("Finish"), servers.lua(web.site.path("come")))))
    got = web.get(name)
    assert got.ended and got.text == "all"
    assert "went on" not in web.log()[web.mark:]
    web.site.write("come", "")
    web.wait_log("went on: true")


def test_finish_frees_the_connection(web):
    slow = web.script("function main() Send('slow') Finish() local f repeat Sleep(0.02) "
                      "f = io.open('come') until f f:close() Log('over') end")
    quick = web.script("function main() Send('quick') end")
    with web.connect() as c:
        c.begin(web.site.params(slow), keep=True).end()
        assert c.response().text == "slow"
        c.begin(web.site.params(quick), keep=True).end()
        assert c.response().text == "quick"
        assert "over" not in web.log()[web.mark:]
    web.site.write("come", "")
    web.wait_log("over")


def test_an_error_after_finish_is_logged(web):
    assert web.main("Send('fine') Finish() Sleep(0.1) error('later')").text == "fine"
    web.expect_error("later")


def test_after_finish_env_and_session_are_there(web):
    assert web.main("Session.Start() Session.SetVar('r', 'n', 1) Send('x') Finish() Sleep(0.1) "
                    "Log('then ', Env.HTTP_USER_AGENT, Session.GetVar('r', 'n'))").text == "x"
    web.wait_log("then test1")


# -- MaxWaiting --

def test_one_more_than_maxwaiting_gets_503(daemon):
    d = daemon(WorkerThreads=1, MaxWaiting=3)
    name = d.script("function main() if Env.QUERY_STRING == 'long' then Send('waits') Flush() "
                    "Sleep(1000) end Sleep(0) Send('x') end")
    held = [d.open(name, query="long").end() for _ in range(3)]
    for c in held:
        c.read_until("waits")
        assert d.main("Send('free')").text == "free"  # so the one before has begun to wait
    got = d.get(name)
    assert got.status == 503 and got.header("Retry-After")
    d.wait_log("3 requests wait already.*MaxWaiting", "warning")
    assert d.get(name).status == 503  # and no second line within the minute
    assert len([line for line in d.lines() if "MaxWaiting" in line.text]) == 1
    held.pop().close()
    servers.wait_until(lambda: d.get(name).text == "x", "room for one more")
    for c in held:
        c.close()


def test_503_does_not_count_against_the_state(daemon):
    d = daemon(WorkerThreads=1, MaxWaiting=0, LuaMaxErrors=1)
    name = d.script("n = 0 function main() n = n + 1 if Env.QUERY_STRING == 'n' then Send(n) "
                    "return end Sleep(0) end")
    for _ in range(3):
        assert d.get(name).status == 503
    assert d.get(name, "n").text == "4"
    d.wait_log("MaxWaiting", "warning")


def test_a_script_may_catch_that_too_many_wait(daemon):
    d = daemon(WorkerThreads=1, MaxWaiting=0)
    assert "MaxWaiting" in d.main("Send(select(2, pcall(Sleep, 1)))").text
    d.wait_log("MaxWaiting", "warning")


# -- States --

def test_states_that_wait_are_beside_the_limits(daemon):
    d = daemon(WorkerThreads=2, LuaMaxStates=2, LuaTotalStates=2)
    name = d.script("function main() Sleep(0.5) local t = ThreadData() "
                    "for k, n in pairs(t) do Send(n) end end")
    got = together(12, lambda i: int(d.get(name).text))
    assert max(got) > 2
    quick = d.script("function main() local t = ThreadData() local n = 0 "
                     "for k, v in pairs(t) do n = n + v end Send(n) end")
    servers.wait_until(lambda: int(d.get(quick).text) <= 2, "no more states than are kept")


def test_a_state_that_has_waited_is_used_again(solo):
    name = solo.script("n = 0 function main() Sleep(0.01) n = n + 1 Send(n) end")
    assert [solo.get(name).text for _ in range(3)] == ["1", "2", "3"]


def test_an_edit_lets_those_that_wait_finish_in_their_state(web):
    name = web.script("function main() Send('old ') Flush() Sleep(1) Send('old') end")
    with web.open(name) as c:
        c.end()
        before = c.read_until("old ")
        web.site.write(name, "function main() Send('new') end")
        servers.wait_until(lambda: web.get(name).text == "new", "the new script")
        assert c.response(before=before).text == "old old"
    assert web.get(name).text == "new"


def test_a_reload_lets_those_that_wait_finish_in_their_state(daemon):
    d = daemon(WorkerThreads=1, config="Config = {name = 'old'}")
    name = d.script("function main() Send(LocalConfig and 'x' or 'y', Config.name) Flush() "
                    "Sleep(1) Send(Config.name) end")
    with d.open(name) as c:
        c.end()
        before = c.read_until("old")
        d.reload(config="Config = {name = 'new'}")
        assert d.main("Send(Config.name)").text == "new"
        assert c.response(before=before).text.endswith("oldold")


# -- After a wait all is as it was --

def test_after_a_wait_everything_of_the_request_is_as_it_was(web, site):
    """While another request runs on the same worker, in another directory."""
    site.write("other/mark", "other")
    other = "other/s.lua"
    site.write(other, "function main() Send(io.open('mark'):read('a')) end")
    site.write("mark", "own")
    name = web.script("""
        function main(env, con)
            local before = Env.QUERY_STRING .. Env.SCRIPT_NAME .. tostring(Cookies.a)
            Session.Start()
            Session.SetVar('r', 'n', Env.QUERY_STRING)
            local id = Session.Id()
            for i = 1, 5 do
                Sleep(0.03)
                assert(Env.QUERY_STRING .. Env.SCRIPT_NAME .. tostring(Cookies.a) == before)
                assert(Session.Id() == id and Session.GetVar('r', 'n') == Env.QUERY_STRING)
                assert(io.open('mark'):read('a') == 'own')
                con:puts(io.popen('cat mark'):read('a'))
            end
            print('the name of', Env.QUERY_STRING)
            Header('X-Query', Env.QUERY_STRING)
        end""")

    def ask(i):
        if i % 2:
            return [web.get(other).text for _ in range(20)] == ["other"] * 20
        got = web.get(name, "q%d" % i, HTTP_COOKIE="a=%d" % i)
        return got.text == "own" * 5 and got.header("X-Query") == "q%d" % i
    assert all(together(12, ask))
    for i in range(0, 12, 2):
        line = web.wait_log("the name of\\\\tq%d$" % i)
        assert line.script.endswith(name)


def test_con_of_a_request_that_waits_is_valid(web):
    assert web.main("con:sleep(0.05) con:puts('x') con:sleep(0) con:puts('y')").text == "xy"


def test_the_unfinished_line_of_output_is_one_line(web):
    web.main("io.write('first ') Sleep(0.05) io.write('second\\n')")
    web.wait_log("first second$")


def test_a_large_response_is_kept_while_the_script_waits(web):
    got = web.main("Send(('x'):rep(300000)) Sleep(0.05) Send(('y'):rep(300000)) Sleep(0)")
    assert got.text == "x" * 300000 + "y" * 300000


def test_os_exit_after_a_wait_ends_the_request(web):
    got = web.run("function main() Send('x') Sleep(0.02) os.exit() end")
    assert got.status == 200 and got.text == "x"


def test_an_error_after_a_wait_has_its_traceback(web):
    got = web.run("function main()\n  Sleep(0.02)\n  error('after')\nend")
    assert got.status == 500
    web.expect_error("3: after")


def test_the_memory_limit_holds_after_a_wait(daemon):
    d = daemon(WorkerThreads=1, ScriptMemoryLimit=4 << 20)
    got = d.run("function main() Sleep(0.02) local t = {} while true do "
                "t[#t + 1] = ('x'):rep(1000) .. #t end end")
    assert got.status == 500
    d.expect_error("memory limit exceeded")


# -- Where a wait works --

PLACES = {
    "pcall": "pcall(function() pcall(function() W() end) W() end)",
    "xpcall": "xpcall(function() W() end, debug.traceback)",
    "wrap in wrap": "coroutine.wrap(function() coroutine.wrap(function() W() end)() W() end)()",
    "resume": "local co = coroutine.create(function() W() coroutine.yield(1) W() end) "
              "coroutine.resume(co) coroutine.resume(co)",
    "generic for": "for i in (function() W() n = (n or 0) + 1 if n < 4 then return n end end) "
                   "do W() end",
    "__index": "local t = setmetatable({}, {__index = function() W() return 1 end}) "
               "assert(t.x == 1)",
    "__add": "local t = setmetatable({}, {__add = function() W() return 1 end}) assert(t + 1 == 1)",
    "__lt": "local t = setmetatable({}, {__lt = function() W() return true end}) assert(t < t)",
    "__call": "setmetatable({}, {__call = function() W() end})()",
    "dofile": "dofile('part.lua')",
    "deep": "local function deep(n) if n == 0 then W() else pcall(deep, n - 1) end end deep(100)",
}

BLOCKS = {
    "sort": "table.sort({2, 1}, function(a, b) W() return a < b end)",
    "gsub": "('x'):gsub('x', function() W() end)",
    "require": "package.preload.x = function() W() end require 'x' package.loaded.x = nil",
    "__gc": "setmetatable({}, {__gc = function() W() end}) collectgarbage() collectgarbage()",
    "load": "load((function() W() return nil end))",
    "tostring": "tostring(setmetatable({}, {__tostring = function() W() return '' end}))",
}


@pytest.mark.parametrize("place", sorted(PLACES) + sorted(BLOCKS))
def test_a_wait_works_in(web, site, place):
    site.write("part.lua", "W()")
    name = web.script("""
        local waited
        function W() Sleep(0.02) waited = waited + 1 end
        function main()
            waited = 0
            %s
            Send(waited > 0 and 'waited' or 'did not')
        end""" % {**PLACES, **BLOCKS}[place])
    for _ in range(2):
        assert web.get(name).text == "waited"


@pytest.mark.parametrize("place", sorted(PLACES))
def test_workers_are_free_during_a_wait_in(daemon, site, place):
    site.write("part.lua", "W()")
    d = daemon(WorkerThreads=1)
    name = d.script("function W() Send('waits') Flush() Sleep(1000) end function main() %s end" %
                    PLACES[place])
    with d.open(name) as c:
        c.end()
        c.read_until("waits")
        assert d.main("Send('free')").text == "free"


@pytest.mark.parametrize("place", sorted(BLOCKS))
def test_the_time_limit_ends_a_wait_that_blocks_its_worker_in(daemon, place):
    d = daemon(WorkerThreads=1, RequestTimeout=1)
    begun = time.monotonic()
    got = d.run("function W() Sleep(1000) end function main() %s end" % BLOCKS[place])
    assert got.status == 504
    assert time.monotonic() - begun < 20
    d.expect_error("time limit exceeded")


def test_a_script_that_sleeps_while_it_is_loaded_is_loaded(web):
    assert web.run("Sleep(0.05) function main() Send('x') end").text == "x"


def test_a_finalizer_that_sleeps_ends_with_its_state(daemon):
    d = daemon(WorkerThreads=1)
    d.main("x = setmetatable({}, {__gc = function() Sleep(1000) end})")
    begun = time.monotonic()
    d.stop()
    assert time.monotonic() - begun < 25


def test_a_scripts_own_yield_is_no_wait(web):
    got = web.main("local co = coroutine.wrap(function() coroutine.yield('a') Sleep(0.02) "
                   "coroutine.yield('b') end) Send(co(), co())")
    assert got.text == "ab"
    got = web.main("Send(tostring(coroutine.isyieldable()), select(2, pcall(coroutine.yield)))")
    assert got.text == "falseattempt to yield from outside a coroutine"


def test_running_is_the_same_after_a_wait(web):
    got = web.main("local a, m = coroutine.running() Sleep(0.02) local b, n = coroutine.running() "
                   "Send(tostring(a == b and m and n))")
    assert got.text == "true"


# -- All together --

@pytest.mark.alone
def test_64_clients_that_wait_fail_edit_reload_and_stop(daemon, site):
    d = daemon(WorkerThreads=4, LuaMaxStates=3, RequestTimeout=20, MaxWaiting=40)
    d.any_errors = True
    code = {
        "sleep": "Sleep(math.random() / 20) Send('sleep')",
        "pipe": "local f = io.popen('echo x') Wait(f) f:close() Send('pipe')",
        "nest": "coroutine.wrap(function() pcall(function() Sleep(0.01) end) end)() Send('nest')",
        "sort": "table.sort({2, 1}, function() Sleep(0.005) end) Send('sort')",
        "error": "Sleep(0.01) error('wanted')",
        "finish": "Send('finish') Finish() Sleep(0.01)",
        "exit": "Send('exit') Sleep(0.01) os.exit()",
        "quick": "Send('quick')",
    }
    names = sorted(code)
    for name in names:
        site.write(name + ".lua", "function main() %s end" % code[name])
    end = time.monotonic() + 6
    seen = set()

    def client(i):
        n = i
        while time.monotonic() < end:
            n += 1
            name = names[n % len(names)]
            if n % 11 == 0:  # goes away in the middle
                with d.open(name + ".lua") as c:
                    c.end()
                continue
            try:
                got = d.get(name + ".lua")
            except OSError:
                time.sleep(0.01)
                continue
            assert (got.status == 503 or got.status == 500 and name == "error" or
                    got.ended and got.text == name), (name, got)
            seen.add((name, got.status))

    def disturb():
        n = 0
        while time.monotonic() < end - 0.5:
            n += 1
            name = names[n % len(names)]
            site.write(name + ".lua", "-- %d\nfunction main() %s end" % (n, code[name]))
            if n % 5 == 0:
                d.signal(signal.SIGHUP)
            if n % 7 == 0:
                d.signal(signal.SIGUSR1)
            time.sleep(0.05)
    together(65, lambda i: client(i) if i < 64 else disturb())
    assert {name for name, status in seen if status == 200} == set(names) - {"error"}
    held = [d.open("sleep.lua").end() for _ in range(30)]
    d.process.send_signal(signal.SIGTERM)
    for c in held:
        c.close()
    assert d.wait(60) == 0
