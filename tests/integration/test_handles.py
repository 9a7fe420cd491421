"""Files and children that scripts forget: they are closed soon, and the daemon has what it
needs of descriptors when scripts use up the rest."""

import os
import resource
import signal
import threading
import time

import pytest

from harm import (LIMIT, children, descriptors, holds_only, lasting_descriptors, threads,
                  unharmed)
from servers import PATIENCE, SANITIZER, read, wait_until

DAEMON = {"LuaMaxStates": 4, "RequestTimeout": 60}
KEPT = 40  # open handles of one state, at most; and some

FORGETFUL = {
    "io.open": "return io.open('data.txt'):read('a')",
    "io.lines": "return (io.lines('data.txt')())",
    "io.tmpfile": "io.tmpfile():write('x') return 'data'",
    "io.input": "io.input('data.txt') return io.read('a')",
    "io.output": "io.output('out.txt') io.write('x') return 'data'",
    "io.popen": "return io.popen('printf data'):read('a')",
}
EACH = pytest.mark.parametrize("code", FORGETFUL.values(), ids=FORGETFUL)


def forgetful(daemon, code):
    daemon.site.write("data.txt", "data")
    return daemon.script("function main() %s end" % code)


@EACH
def test_forgotten_handles_of_many_requests_are_closed_soon(solo, code):
    page = forgetful(solo, code)
    assert solo.get(page).text == "data"
    before, most = len(descriptors(solo)), 0
    for _ in range(150):
        assert solo.get(page).text == "data"
        most = max(most, len(descriptors(solo)) - before)
    assert most <= KEPT


@EACH
def test_forgotten_handles_of_one_request_are_closed_soon(solo, code):
    page = forgetful(solo, "local function one() %s end local most = 0 for i = 1, 200 do "
                     "assert(one() == 'data') "
                     "if i %% 10 == 0 then local n = 0 for _ in io.popen('ls /proc/' .. PID .. "
                     "'/fd'):lines() do n = n + 1 end most = math.max(most, n) end end "
                     "return most" % code)
    solo.site.write(page, "PID = %d " % solo.pid +
                    open(solo.site.path(page), encoding="ascii").read())
    before = len(os.listdir("/proc/%d/fd" % solo.pid))
    assert int(solo.get(page).text) <= before + 2 * KEPT


def test_forgotten_child_is_no_zombie_after_its_request(solo):
    page = forgetful(solo, FORGETFUL["io.popen"])
    for _ in range(5):
        assert solo.get(page).text == "data"
        wait_until(lambda: not children(solo), "the child to be reaped")


def test_forgotten_child_is_not_waited_for(solo):
    """Nor killed, until its state is closed: what it was given may be a mail to be sent."""
    page = solo.script("function main() if Env.QUERY_STRING == 'write' then "
                       "io.popen('cat >mail; echo sent >>mail; exec sleep 1000', 'w'):write('hello ') "
                       "end return 'done' end")
    began = time.monotonic()
    assert solo.get(page, "write").text == "done"
    assert solo.get(page).text == "done"
    assert time.monotonic() - began < PATIENCE
    wait_until(lambda: read(solo.site.path("mail")) == "hello sent\n", "the child to have its time")
    assert children(solo)
    solo.site.write(page, "function main() return 'new' end")
    wait_until(lambda: solo.get(page).text == "new", "the new script")
    wait_until(lambda: not children(solo), "the child to be killed")


def test_forgotten_children_that_live_on_are_bounded(daemon):
    """The one that is too many is waited for, as long as the request may take."""
    d = daemon(WorkerThreads=1, RequestTimeout=LIMIT * 5)
    page = d.script("function main() io.popen('exec sleep 1000') return 'done' end")
    d.any_errors = True
    most = 0
    for _ in range(40):
        assert d.get(page).text == "done"
        most = max(most, sum("\nState:\tZ" not in read("/proc/%s/status" % child)
                             for child in children(d)))
    assert 32 <= most <= 33


def test_handles_that_are_in_use_stay_open(solo):
    """As many as a script likes, over requests; they are counted, and not closed."""
    page = forgetful(solo, "for i = 1, 50 do kept[#kept + 1] = assert(io.open('data.txt')) end "
                     "for _, f in ipairs(kept) do f:seek('set') assert(f:read('a') == 'data') end "
                     "return #kept")
    solo.site.write(page, "kept = {} " + open(solo.site.path(page), encoding="ascii").read())
    assert [solo.get(page).text for _ in range(3)] == ["50", "100", "150"]
    solo.site.write(page, "function main() return 'closed' end")
    wait_until(lambda: solo.get(page).text == "closed", "the new script")


UNCLOSING = {
    "no __gc": "getmetatable(io.stdout).__gc = nil",
    "no __gc, by debug": "debug.getmetatable(io.stdout).__gc = nil",
    "no __gc, by __index": "io.stdout.__index.__gc = nil",
    "another __gc": "getmetatable(io.stdout).__gc = function() while true do end end",
    "a cleared metatable": "local m = debug.getmetatable(io.stdout) for k in pairs(m) do "
                           "if k:sub(1, 2) == '__' then m[k] = nil end end",
    "no __gc when others are at work":
        "setmetatable({}, {__gc = function() getmetatable(io.stdout).__gc = nil "
        "debug.getmetatable(io.stdout).__gc = nil end})",
    "no __gc when the state is closed":
        "last = {} function leave() setmetatable(last, {__gc = function() "
        "getmetatable(io.stdout).__gc = nil debug.getmetatable(io.stdout).__gc = nil end}) end",
}


@pytest.mark.parametrize("change", UNCLOSING.values(), ids=UNCLOSING)
@EACH
def test_files_are_closed_whatever_a_script_does_to_their_metatable(solo, code, change):
    """While its state lives, and when that is closed; none of it ends a request."""
    threads(solo)
    before = lasting_descriptors(solo)
    page = forgetful(solo, "kept[#kept + 1] = io.open('data.txt') "
                     "local s = (function() %s end)() if leave then leave() end return s" % code)
    solo.site.write(page, "%s kept = {} %s" % (change, read(solo.site.path(page))))
    for _ in range(3):
        assert solo.get(page).text == "data"
    solo.site.write(page, "function main() return 'new' end")
    wait_until(lambda: solo.get(page).text == "new", "the new script")
    wait_until(lambda: holds_only(solo, before), "all to be closed")
    wait_until(lambda: not children(solo), "the children to be reaped")


def test_scripts_may_add_methods_to_files(solo):
    assert solo.value("(function() getmetatable(io.stdout).twice = function(f, x) return x .. x "
                      "end return io.open('/dev/null'):twice('a') end)()") == "aa"
    assert solo.value("getmetatable(io.stdout) == debug.getmetatable(io.tmpfile())") == "true"
    assert solo.value("getmetatable(io.stdout).__name .. tostring(getmetatable(io.stdout).__index"
                      " == getmetatable(io.stdout))") == "FILE*true"


def test_methods_of_counted_files_do_as_ever(solo):
    with unharmed(solo):
        assert solo.main("""
            local f = assert(io.open("new.txt", "w"))
            assert(io.type(f) == "file" and tostring(f):find("^file %(0x"))
            assert(f:write("one\\ntwo\\n") == f and f:close() == true and io.type(f) == "closed file")
            assert(tostring(f) == "file (closed)" and not pcall(f.read, f))
            local lines = {} for l in io.lines("new.txt") do lines[#lines + 1] = l end
            assert(#lines == 2 and lines[2] == "two")
            for a, b in io.lines("new.txt", 1, "l") do lines[#lines + 1] = a .. b end
            assert(lines[3] == "one")
            local none, why, number = io.open("missing")
            assert(none == nil and why == "missing: No such file or directory" and number == 2)
            assert(not pcall(io.open, "new.txt", "bad mode") and not pcall(io.lines, "missing"))
            local ok, message = pcall(io.lines, "missing")
            assert(message:find("'missing' (No such file or directory)", 1, true), message)
            io.output("out.txt") assert(io.output():write("x")) io.close() io.output(io.stdout)
            io.input("out.txt") assert(io.read("a") == "x") io.input():close() io.input(io.stdin)
            local p = io.popen("exit 3") local ok, how, code = p:close()
            assert(ok == nil and how == "exit" and code == 3)
            return "right" """).text == "right"


# -- Where there are few --

def few(count):
    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))
    return limit


def ask(daemon, page, times, wrong, right):
    for _ in range(times):
        try:
            response = daemon.get(page, timeout=2 * PATIENCE)
            if (response.status, response.text) != (200, right):
                wrong.append((page, response))
        except Exception as failure:  # shown by the main thread
            wrong.append((page, failure))


def test_all_goes_on_with_few_descriptors_and_forgetful_scripts(daemon):
    d = daemon(WorkerThreads=4, LuaMaxStates=4, MinFileInfoTime=50, preexec_fn=few(64))
    pages = [(forgetful(d, code), "data") for code in FORGETFUL.values()]
    pages.append((d.script("function main() return 'hello' end"), "hello"))
    wrong = []
    clients = [threading.Thread(target=ask, args=(d, page, 20 if SANITIZER else 60, wrong, right))
               for page, right in pages]
    for c in clients:
        c.start()
    for c in clients:
        c.join()
    assert not wrong, wrong[:5]
    d.site.write(pages[0][0], "function main() return 'edited' end")
    wait_until(lambda: d.get(pages[0][0]).text == "edited", "the edit to be seen")


def test_daemon_opens_what_it_needs_when_scripts_have_all_they_can_get(daemon):
    """One script holds on to every file that it can open: others are served, loaded,
    reloaded, and the log is rotated."""
    d = daemon(WorkerThreads=2, MinFileInfoTime=50, preexec_fn=few(64))
    greedy = d.script("kept = {} function main() local why while not why do "
                      "kept[#kept + 1], why = io.open('data.txt') end return why end")
    d.site.write("data.txt", "data")
    assert d.get(greedy).text == "data.txt: Too many open files"
    assert d.main("return 'a new script'").text == "a new script"
    assert d.main("return tostring(pcall(io.lines, 'data.txt'))").text == "true", \
        "the idle state made room"
    assert d.get(greedy).text == "data.txt: Too many open files"
    held = d.hold(d.script("kept = {} function main() local why while not why do "
                           "kept[#kept + 1], why = io.open('data.txt') end Flush() Receive() "
                           "return why end"))
    # One that was open for a moment, such as a connection, may have left its number since.
    assert d.main("local kept, why, no = {} "
                  "while not why do kept[#kept + 1], why = io.open('data.txt') end "
                  "while not no do kept[#kept + 1], no = io.popen('true') end "
                  "return why .. ' ' .. no").text.count("Too many open files") == 2
    assert d.main("return tostring(os.execute('exit 0'))").text == "true"
    os.rename(d.log_path, d.log_path + ".1")
    os.kill(d.pid, signal.SIGUSR1)
    wait_until(lambda: "log reopened" in d.log(), "the log to be reopened")
    os.kill(d.pid, signal.SIGHUP)
    wait_until(lambda: "configuration reloaded" in d.log(), "the reload")
    assert d.main("return 'a new script'").text == "a new script"
    assert b"Too many open files" in held.end().response().raw


def test_files_of_a_state_that_is_long_in_closing_are_waited_for(daemon):
    """By every script that needs a file meanwhile."""
    d = daemon(WorkerThreads=2, preexec_fn=few(64))
    greedy = d.script("kept = {} function main() local why while not why do "
                      "kept[#kept + 1], why = io.open('data.txt') end "
                      "last = setmetatable({}, {__gc = function() local began = os.clock() "
                      "repeat until os.clock() - began > 0.4 end}) return why end")
    d.site.write("data.txt", "data")
    assert d.get(greedy).text == "data.txt: Too many open files"
    page = d.script("function main() return io.open('data.txt'):read('a') end")
    wrong = []
    clients = [threading.Thread(target=ask, args=(d, page, 2, wrong, "data")) for _ in range(2)]
    for c in clients:
        c.start()
    for c in clients:
        c.join()
    assert not wrong, wrong
