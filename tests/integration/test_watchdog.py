"""What no hook can stop: a worker that is stuck is replaced; a child is killed."""

import os
import pathlib
import signal
import subprocess
import time

import pytest

from harm import (LIMIT, at_the_limit, check_page, children, counting, first, threads,
                  unharmed)
import servers
from servers import HASTY, lua, read, wait_until

# Waits in C for a file, whatever signals come.
MODULE = r"""
#include <lua.h>
#include <lauxlib.h>
#include <time.h>
#include <unistd.h>

static int wait_for(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    while (access(path, F_OK) != 0)
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    return 0;
}

int luaopen_stuck(lua_State *L)
{
    lua_pushcfunction(L, wait_for);
    return 1;
}
"""
NOTED = 4 * LIMIT  # a Watchdog within which a worker runs, to note what it serves
STUCK = r"worker (\d+) is stuck in a script that no limit reaches"


@pytest.fixture(scope="module")
def stuck_module(module_scratch):
    """The directory of a C module `stuck`."""
    directory = module_scratch()
    with open(directory + "/stuck.c", "w", encoding="ascii") as f:
        f.write(MODULE)
    flags = subprocess.run(
        "pkg-config --cflags lua5.3 || pkg-config --cflags lua-5.3 || pkg-config --cflags lua53",
        shell=True, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-o", directory + "/stuck.so",
                    directory + "/stuck.c"] + flags.stdout.split(), check=True)
    return directory


@pytest.fixture
def watched(daemon, stuck_module):
    """A daemon with a short Watchdog, and a script that is stuck until its file is there."""
    def make(**options):
        d = daemon(**{"binary": HASTY, "RequestTimeout": 2 * LIMIT, "Watchdog": LIMIT,
                      "LuaMaxStates": 8, **options})
        d.site.write("held.lua", """
            package.cpath = %s
            local wait = require "stuck"
            function main() wait(Dir() .. "/" .. Env.QUERY_STRING) return "came back" end
            """ % lua(stuck_module + "/?.so"))
        d.site.write("good.lua", "function main() return 'good ' .. Info.Thread end")
        return d
    return make


def test_stuck_worker_is_logged_and_replaced_and_leaves_when_it_comes_back(watched):
    d = watched(WorkerThreads=1, Watchdog=NOTED)
    d.any_errors = True
    before = threads(d)
    assert first(d, "good.lua") == "good 1"
    c = d.open("held.lua", "GET", query="free").end()
    line = d.wait_log(STUCK, "error")
    d.wait_log("held.lua", "error")
    assert "worker 1 is stuck" in line.text
    assert first(d, "good.lua") == "good 2"
    wait_until(lambda: threads(d, "worker") == 2, "there to be one more worker")
    wait_until(lambda: threads(d) == before + 1, "there to be one more thread in all")
    d.site.write("free", "")
    check_page(c.response(), 504)
    d.wait_log("came back from where it was stuck", "warning")
    wait_until(lambda: threads(d) == before, "the stuck thread to end")
    assert [d.get("good.lua").text for _ in range(3)] == ["good 2"] * 3


def test_what_a_client_asks_next_is_served_when_a_stuck_worker_has_left(watched):
    """The next request came on the same connection, while the worker was stuck."""
    d = watched(WorkerThreads=1)
    d.any_errors = True
    good, held = (d.site.params(name, "GET", "free", CONTENT_LENGTH=None)
                  for name in ("good.lua", "held.lua"))
    c = d.connect().begin(good, keep=True).end()
    assert c.response().text == "good 1"
    c.begin(held, keep=True).end()
    d.wait_log(STUCK, "error")
    c.begin(good).end()
    d.site.write("free", "")
    check_page(c.response(), 504)
    assert c.response().text == "good 2"


def test_log_of_a_stuck_worker_names_its_script(watched):
    d = watched(WorkerThreads=1, Watchdog=NOTED)
    d.any_errors = True
    c = d.open("held.lua", "GET", query="free").end()
    line = d.wait_log(STUCK, "error")
    assert d.site.path("held.lua") in line.line
    d.site.write("free", "")
    c.response()


def test_service_keeps_its_strength_while_workers_are_stuck(watched):
    """As many workers as before serve at the same time."""
    d = watched(WorkerThreads=2, RequestTimeout=2 * LIMIT)
    d.any_errors = True
    held = [d.open("held.lua", "GET", query="free").end() for _ in range(2)]
    wait_until(lambda: len([line for line in d.lines() if "is stuck" in line.text]) == 2,
               "both to be noticed")
    page = d.script("function main() Send('a') Flush() Receive() Send('b') end")
    both = [d.hold(page) for _ in range(2)]
    assert [c.end().response().raw for c in both] == [b"ab"[1:]] * 2
    d.site.write("free", "")
    assert [c.response().status for c in held] == [504] * 2
    wait_until(lambda: d.log().count("came back from where it was stuck") == 2, "both to leave")
    both = [d.hold(page) for _ in range(2)]
    assert [c.end().response().raw for c in both] == [b"b"] * 2


def test_workers_that_came_back_do_not_count_any_more(watched):
    """One after the other may be stuck, as often as they like."""
    d = watched(WorkerThreads=1)
    d.any_errors = True
    for n in range(4):
        c = d.open("held.lua", "GET", query="free%d" % n).end()
        wait_until(lambda: d.log().count("is stuck in") == n + 1, "it to be noticed")
        d.site.write("free%d" % n, "")
        assert c.response().status == 504
        wait_until(lambda: d.log().count("came back from where") == n + 1, "it to leave")
    assert first(d, "good.lua") == "good 5"


@pytest.mark.parametrize("workers", [1, 2])
def test_more_stuck_workers_than_there_were_end_the_daemon(watched, workers):
    """So that the supervisor starts it anew."""
    d = watched(WorkerThreads=workers)
    d.any_errors = True
    held = []
    for n in range(workers):
        held.append(d.open("held.lua", "GET", query="free").end())
        wait_until(lambda: d.log().count("is stuck in") == n + 1, "it to be noticed")
        assert first(d, "good.lua").startswith("good ")
    held.append(d.open("held.lua", "GET", query="free").end())
    d.expected_status = d.wait()
    assert d.expected_status > 0
    d.wait_log("no worker is left", "error")
    for c in held:
        assert c.response().closed
    assert d.start().get("good.lua").status == 200
    d.expected_status = 0


@pytest.mark.parametrize("workers", [1, 2])
def test_more_stuck_workers_than_workerthreads_end_the_daemon_that_has_grown(watched, workers):
    """However many others there are, or may be."""
    d = watched(WorkerThreads=workers, WorkerThreadsMax=8, RequestTimeout=2 * LIMIT)
    d.any_errors = True
    page = d.script("function main() Send('a') Flush() Receive() end")
    waiting = [d.hold(page) for _ in range(3)]
    held = [d.open("held.lua", "GET", query="free").end() for _ in range(workers)]
    assert first(d, "good.lua").startswith("good ")
    held.append(d.open("held.lua", "GET", query="free").end())
    d.expected_status = d.wait()
    assert d.expected_status > 0
    d.wait_log("no worker is left", "error")
    for c in waiting + held:
        c.close()


def test_a_worker_that_is_stuck_does_not_count_as_one_that_computes(watched):
    """A loop that no limit reaches, and then scripts that wait."""
    d = watched(WorkerThreads=1, WorkerThreadsMax=8)
    d.any_errors = d.any_stderr = True
    stuck = d.open(d.script("function main() %s end" % servers.STUCK), "GET").end()
    d.wait_log(STUCK, "error")
    page = d.script("function main() Send('a') Flush() Receive() Send('b') end")
    waiting = [d.hold(page) for _ in range(3)]
    assert first(d, "good.lua").startswith("good ")
    assert [c.end().response().raw for c in waiting] == [b"b"] * 3
    d.process.kill()
    d.expected_status = -signal.SIGKILL
    d.wait()
    stuck.close()


# -- finalizers: a state is closed when its file has changed --

KEEPING = "function main() Session.SetVar('r', 'k', 'kept') return 'kept' end"
FINALIZER = r"a finalizer \(__gc\) of %s is stuck"


@pytest.fixture
def closing(watched, stuck_module):
    """A daemon, and what makes it close a state whose finalizer waits for the file "free"."""
    def make(**options):
        d = watched(**{"WorkerThreads": 2, **options})
        d.any_errors = True

        def close(name):
            d.site.write(name, """
                package.cpath = %s
                local wait = require "stuck"
                local function finalize(t)
                    io.open(t.directory .. "/%s.begun", "w"):close()
                    wait(t.directory .. "/free")
                end
                function main()
                    held = held or setmetatable({directory = Dir()}, {__gc = finalize})
                    return "held"
                end""" % (lua(stuck_module + "/?.so"), name))
            assert first(d, name) == "held"
            d.site.write(name, "function main() return 'changed' end")
            wait_until(lambda: os.path.exists(d.site.path(name + ".begun")),
                       "the finalizer to begin")
        return d, close
    return make


def check_that_all_is_well(d):
    """Time limits hold, and a changed file is seen."""
    with at_the_limit():
        check_page(d.run("function main() while true do end end"), 504)
    page = d.script("function main() return 'before' end")
    assert first(d, page) == "before"
    d.site.write(page, "function main() return 'after' end")
    wait_until(lambda: d.get(page).text == "after", "the change to be seen")


def test_stuck_finalizer_is_logged_and_its_thread_replaced(closing):
    d, close = closing()
    before = threads(d)
    close("gc.lua")
    assert d.site.path("gc.lua") in d.wait_log(FINALIZER % r"\S+", "error").line
    check_that_all_is_well(d)
    assert threads(d, "worker") == 2
    wait_until(lambda: threads(d, "closer") == 2 and threads(d) == before + 1,
               "there to be one more closer, and no other thread")
    d.site.write("free", "")
    d.wait_log("a finalizer .* has come to its end", "warning")
    wait_until(lambda: threads(d) == before, "the stuck thread to end")
    check_that_all_is_well(d)


def test_time_limits_hold_while_a_finalizer_is_stuck(closing):
    """Though nothing replaces what closes it."""
    d, close = closing(Watchdog=0)
    close("gc.lua")
    for _ in range(3):
        with at_the_limit():
            check_page(d.run("function main() while true do end end"), 504)
    assert "is stuck" not in d.log()
    d.site.write("free", "")
    check_that_all_is_well(d)


def test_a_stuck_finalizer_does_not_hold_up_the_end(closing, scratch):
    """Nor does it cost the sessions."""
    sessions = scratch() + "/sessions"
    d, close = closing(SessionFile=sessions)
    close("gc.lua")
    d.wait_log(FINALIZER % r"\S+", "error")
    assert first(d, d.script(KEEPING)) == "kept"
    d.stop()
    assert "the closing of scripts was cut off" in d.log()
    assert b"kept" in pathlib.Path(sessions).read_bytes()


def test_a_reload_while_a_finalizer_is_stuck(closing):
    """What is stuck goes on with the old configuration when it comes back, and must not
    take the states of the new one for stale."""
    d, close = closing(LuaMaxStates=1)
    page = d.script("n = 0 function main() n = n + 1 return n end")
    assert first(d, page) == "1"  # older than a.lua: a sweep comes to it later
    close("a.lua")
    d.wait_log(FINALIZER % r"\S+", "error")
    d.write_config(LuaMaxRequests=1000)
    d.process.send_signal(signal.SIGHUP)
    d.wait_log("configuration reloaded", "info")
    assert first(d, page) == "1"
    d.site.write("free", "")
    d.wait_log("a finalizer .* has come to its end", "warning")
    assert d.get(page).text == "2"


def test_more_stuck_finalizers_than_workers_end_the_daemon(closing, scratch):
    """So that the supervisor starts it anew; with the sessions that were."""
    sessions = scratch() + "/sessions"
    d, close = closing(WorkerThreads=1, SessionFile=sessions)
    close("gc1.lua")
    d.wait_log(FINALIZER % r"\S+/gc1.lua", "error")
    assert first(d, d.script(KEEPING)) == "kept"
    close("gc2.lua")
    d.expected_status = d.wait()
    assert d.expected_status > 0
    d.wait_log("no thread is left that could close scripts", "error")
    assert b"kept" in pathlib.Path(sessions).read_bytes()


def test_watchdog_of_zero_waits_for_ever(watched):
    d = watched(WorkerThreads=2, Watchdog=0)
    c = d.open("held.lua", "GET", query="free").end()
    for _ in range(20):
        assert first(d, "good.lua").startswith("good ")
    with at_the_limit():  # many more heartbeats
        check_page(d.run("function main() while true do end end"), 504)
    assert "is stuck" not in d.log()
    d.any_errors = True
    d.site.write("free", "")
    assert c.response().status == 504
    assert "came back" not in d.log()


@pytest.mark.parametrize("code", [servers.STUCK, servers.STUCK.replace("insert", "remove")
                                  .replace("1, 1)", "1)")],
                         ids=["table.insert", "table.remove"])
def test_stuck_in_the_standard_library(watched, code):
    """For longer than anybody would wait."""
    d = watched(WorkerThreads=1, Watchdog=NOTED)
    d.any_errors = d.any_stderr = True
    c = d.open(counting(d, "pcall(function() %s end)" % code), "GET", query="bad").end()
    line = d.wait_log(STUCK, "error")
    assert "worker 1 is stuck" in line.text
    if servers.SANITIZER != "thread":  # which lets no signal in to ask the thread
        assert 'request: "GET /' in line.request
    assert first(d, "good.lua") == "good 2"
    assert d.running()
    d.process.kill()  # it would be given 30 s to end
    d.expected_status = -signal.SIGKILL
    d.wait()
    c.close()


def test_many_results_do_not_take_long(watched):
    """All but the first that main returned is skipped."""
    d = watched(WorkerThreads=1, RequestTimeout=30, Watchdog=0)
    with unharmed(d):
        response = d.main("return table.unpack({[1] = 'a', [200000] = 'b'}, 1, 200000)",
                          timeout=10)
        assert response.text == "a"


# -- children --

CHILDREN = [
    ("os.execute", "os.execute(%s)"),
    ("os.execute in pcall", "while true do pcall(os.execute, %s) end"),
    ("popen read", "return io.popen(%s):read('a')"),
    ("popen lines", "for line in io.popen(%s):lines() do end"),
    ("popen close", "io.popen(%s):close()"),
    ("popen write", "local p = io.popen(%s, 'w') p:write(('x'):rep(1000000)) p:close()"),
    ("popen forgotten", "io.popen(%s) while true do end"),
    ("popen and __gc", "io.popen(%s) collectgarbage() while true do end"),
    ("in a coroutine", "coroutine.wrap(function() os.execute(%s) end)()"),
]


def alive(pid):
    """Also false for one that is dead but has not been awaited."""
    return read("/proc/%s/stat" % pid).rpartition(")")[2].strip()[:1] not in ("", "Z")


@pytest.mark.parametrize("code", [c[1] for c in CHILDREN], ids=[c[0] for c in CHILDREN])
def test_child_that_does_not_end_is_killed_at_the_limit(watched, code):
    d = watched(WorkerThreads=1, Watchdog=0)
    with unharmed(d):
        page = counting(d, code % lua("echo $$ > pid; sleep 1000 & echo $! > pid2; sleep 1000"))
        with at_the_limit():
            check_page(d.get(page, "bad"), 504)
        d.expect_error("time limit exceeded")
        for name in ("pid", "pid2"):
            pid = read(d.site.path(name)).strip()
            assert pid.isdigit()
            wait_until(lambda: not alive(pid), "the child to be killed")
        wait_until(lambda: children(d) == [], "the dead children to be awaited")
        assert first(d, page) == "1"


def test_child_that_ignores_signals_is_killed_all_the_same(watched):
    d = watched(WorkerThreads=1, Watchdog=0)
    with unharmed(d):
        with at_the_limit():
            check_page(d.run("function main() os.execute(\"trap '' TERM INT HUP; sleep 1000; "
                             "sleep 1000\") end"), 504)
        d.expect_error("time limit exceeded")


def test_time_in_which_the_process_stood_still_makes_nobody_stuck(daemon):
    """As a machine does that is paused: the threads had no time to see their signals."""
    d = daemon(WorkerThreads=2, WorkerThreadsMax=4, RequestTimeout=1, Watchdog=1)
    page = d.script("function main() io.popen('sleep 30'):read('a') end")
    clients = [d.open(page).end() for _ in range(4)]
    wait_until(lambda: len(children(d)) == 4, "all four to wait")
    d.signal(signal.SIGSTOP)
    stopped = time.monotonic()
    wait_until(lambda: time.monotonic() > stopped + 2.5, "longer than both times together")
    d.signal(signal.SIGCONT)
    assert [c.response().status for c in clients] == [504] * 4
    d.expect_error("time limit exceeded")
