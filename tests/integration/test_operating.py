"""Each question of the chapter "OPERATING" of luafcgid2(8) is put to a daemon that has just
that trouble: the chapter's commands are run as they stand there, and tell it."""

import contextlib
import os
import re
import subprocess
import threading

import pytest

import manual
import servers
from servers import read, wait_until

CHAPTER = manual.sections(manual.rendered("luafcgid2.8"), "OPERATING")
SLOW, QUEUED, MEMORY, ERRORS, FILLS, FULL, LOADED, NEAR, ALIVE, GRAFANA = [
    "Which script is slow?", "Why are requests queued?", "Is memory growing?",
    "Why are there errors?", "Who fills the log?", "What if the disk is full?",
    "Are scripts loaded again and again?", "How near are the limits?", "Is it alive?",
    "How is it seen in Grafana?"]
LOGS = "/var/log/luafcgid2/"
# Computes until there is a file of that name.
SPIN = """function main()
    repeat
        local t = os.clock() while os.clock() < t + 0.05 do end
    until io.open(Env.QUERY_STRING)
end"""


def test_there_is_a_test_of_each_command():
    counts = {question: len(manual.commands(text)) for question, text in CHAPTER.items()}
    assert counts == {"Status": 0, "Warnings": 1, SLOW: 3, QUEUED: 3, MEMORY: 1, ERRORS: 2, FILLS: 1,
                      FULL: 2, LOADED: 1, NEAR: 2, ALIVE: 2, GRAFANA: 0}


def keys(lines):
    """The first keys of lines, each once; with `uniq -c` before them, without its count.
    Lines that are an entry's, of a script or an error, name what they tell: so do these."""
    found = []
    for line in lines:
        if re.match(r" +\D", line):
            continue  # of an example: the line before goes on
        entry = re.match(r"(scripts|last errors) ", line)
        names = ([entry.group(1)] + re.findall(r"(?:: |, )([a-z]+(?: [a-z]+)?) ", line)
                 if entry else [re.sub(r"^ +\d+ ", "", line.partition(":")[0])])
        found += [name for name in names if name not in found]
    return found


class Operator:
    """A daemon behind nginx, and somebody with the manual."""

    def __init__(self, daemon, nginx, directory, **options):
        own = directory + "/status"
        block, = ["\n".join(b) for b in manual.examples(CHAPTER["Status"])
                  if b[0].startswith("location = /status")]
        options = {"StatusListen": own, "PingPath": "/ping", "WorkerThreads": 2,
                   "WorkerThreadsMax": 4, **options}
        self.daemon, self.directory = daemon(**options), directory
        for old, new in (("/run/luafcgid2/status.sock", own),
                         ("/run/luafcgid2/luafcgid2.sock", self.daemon.address),
                         ("include fastcgi", "include /etc/nginx/fastcgi")):
            assert old in block
            block = block.replace(old, new)
        self.web = nginx(self.daemon, tcp=True, server=block)

    def path(self, name):
        return self.daemon.site.path(name)

    def run(self, question, number=0):
        """The lines that a command prints; they are such as the manual shows."""
        command, example = manual.commands(CHAPTER[question])[number]
        command = command.replace("http://localhost/", "http://127.0.0.1:%d/" % self.web.port)
        command = command.replace(LOGS + "luafcgid2.log", self.daemon.log_path)
        command = command.replace(LOGS, self.directory + "/")
        assert "/var/" not in command and "/run/" not in command
        done = subprocess.run(["sh", "-c", command], check=True, timeout=60, text=True,
                              capture_output=True, env=dict(os.environ, no_proxy="*"))
        assert not done.stderr, done.stderr
        lines = done.stdout.splitlines()
        if any(":" in line for line in example):
            missing = [key for key in keys(example) if key not in keys(lines)]
            assert not missing or not lines, (missing, lines)
        return lines

    def value(self, lines, key):
        found, = [line.partition(":")[2].strip() for line in lines
                  if line.partition(":")[0] == key]
        return found

    @contextlib.contextmanager
    def held(self, page, count):
        """So many requests whose script waits in its worker for the end of their bodies."""
        connections = [self.daemon.hold(page, query="year=2025") for _ in range(count)]
        try:
            yield
        finally:
            for connection in connections:
                connection.end().response()
                connection.close()

    @contextlib.contextmanager
    def asked(self, page, count, query=""):
        """So many requests that are not answered before the end."""
        connections = [self.daemon.open(page, "GET", query=query).end() for _ in range(count)]
        try:
            yield
        finally:
            for connection in connections:
                assert connection.response().status == 200
                connection.close()


@pytest.fixture
def operator(daemon, nginx, scratch):
    def make(**options):
        return Operator(daemon, nginx, scratch(), **options)
    return make


HOLD = "function main() Flush() %s end" % servers.BLOCK
QUICK = "function main() Send('x') end"


# -- Which script is slow? --


def test_the_script_that_is_slow_now(operator):
    o = operator()
    o.daemon.site.write("report.lua", HOLD)
    o.daemon.site.write("hello.lua", QUICK)
    o.daemon.get("hello.lua")
    with o.held("report.lua", 1):
        def waits():
            lines = o.run(SLOW)
            told = [line.split() for line in lines if line.startswith("doing:")]
            return lines if told == [["doing:", "waiting"]] else None  # the other is done, too
        lines = wait_until(waits, "the request to be told")
        assert keys(lines) == keys(manual.commands(CHAPTER[SLOW])[0][1])
        assert o.value(lines, "script") == o.path("report.lua")
        assert o.value(lines, "request URI") == "/report.lua?year=2025"
        assert int(o.value(lines, "request duration")) > 0


def test_the_scripts_that_have_been_slow(operator):
    o = operator()
    o.daemon.site.write("very slow.lua", "function main() Sleep(0.9) end")
    o.daemon.site.write("slow.lua", "function main() Sleep(0.3) end")
    for name in "a.lua", "b.lua", "c.lua":
        o.daemon.site.write(name, QUICK)
    for page in ["slow.lua"] * 3 + ["very slow.lua"] * 2 + ["a.lua", "b.lua", "c.lua"] * 5:
        o.daemon.get(page)
    lines = wait_until(lambda: [found for found in [o.run(SLOW, 1)] if "very slow.lua" in found[0]],
                       "the time to be counted")[0]
    assert len(lines) == 3 and "/slow.lua " in lines[1]
    assert lines[0].endswith(" %s %s" % (o.path("very slow.lua"), o.daemon.site.root))
    assert 0.9 <= float(lines[0].split()[0]) and 0.3 <= float(lines[1].split()[0])


def test_the_addresses_that_have_been_slow(operator, scratch):
    directory = scratch()
    o = operator(AccessLogPath=directory + "/access.log", AccessLogFormat="timed")
    o.directory = directory
    o.daemon.site.write("report.lua", "function main() Sleep(tonumber(Env.QUERY_STRING)) end")
    for seconds in "0", "1.5", "0", "0.5", "0":
        o.web.get("/report.lua?" + seconds)
    wait_until(lambda: read(directory + "/access.log").count("\n") == 5, "five lines")
    lines = o.run(SLOW, 2)
    assert [line.split()[1] for line in lines[:2]] == ["/report.lua?1.5", "/report.lua?0.5"]
    assert len(lines) == 3 and 1500000 <= int(lines[0].split()[0])


# -- Why are requests queued? --


def test_requests_are_queued_because_all_workers_wait(operator):
    o = operator()
    page = o.daemon.script(HOLD)
    with o.held(page, 4):
        clients = [o.daemon.open(page).end() for _ in range(3)]
        lines = wait_until(
            lambda: [found for found in [o.run(QUEUED)] if o.value(found, "listen queue") == "3" and
                     int(o.value(found, "max children reached")) > 0], "three to wait")[0]
        assert keys(lines) == keys(manual.commands(CHAPTER[QUEUED])[0][1])
        for key, value in (("active processes", "4"), ("total processes", "4"),
                           ("limits WorkerThreads", "2"), ("limits WorkerThreadsMax", "4")):
            assert o.value(lines, key) == value
        wait_until(lambda: [" ".join(line.split()) for line in o.run(QUEUED, 1)] ==
                   ["4 doing: waiting"], "the workers to be seen waiting")
    for client in clients:
        assert client.response().status == 200
        client.close()


def test_requests_are_queued_because_the_processors_are_busy(operator):
    o = operator(RequestTimeout=0)
    page = o.daemon.script(SPIN)
    stop = o.directory + "/stop"
    with o.asked(page, 6, stop):
        try:
            wait_until(lambda: [" ".join(line.split()) for line in o.run(QUEUED, 1)] ==
                       ["2 doing: computing"] and o.value(o.run(QUEUED), "listen queue") == "4",
                       "two to compute, and four to wait")
            assert o.value(o.run(QUEUED), "max children reached") == "0"
            seconds = [float(line.split()[-1]) for line in o.run(QUEUED, 2)]
            assert len(seconds) == 2 and seconds[1] - seconds[0] > 0.1  # others compute, too
        finally:
            with open(stop, "w", encoding="ascii"):
                pass


MODULE = r"""
#include <lua.h>
#include <lauxlib.h>
#include <time.h>
#include <unistd.h>

static int wait_for(lua_State *L)
{
    while (access(luaL_checkstring(L, 1), F_OK) != 0)
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    return 0;
}

int luaopen_stuck(lua_State *L)
{
    lua_pushcfunction(L, wait_for);
    return 1;
}
"""


def test_requests_are_queued_because_a_worker_is_stuck(operator, scratch):
    directory = scratch()
    servers.compile_module(directory + "/stuck.so", MODULE)
    o = operator(RequestTimeout=1, Watchdog=1)
    o.daemon.any_errors = True  # that its time is over, too
    page = o.daemon.script("package.cpath = %s function main() require 'stuck' (%s) end" % (
        servers.lua(directory + "/?.so"), servers.lua(directory + "/free")))
    client = o.daemon.open(page, "GET").end()
    try:
        line = o.daemon.wait_log("is stuck in a script", "error")
        assert page in line.line
        lines = [" ".join(line.split()) for line in o.run(QUEUED, 1)]
        assert "1 doing: stuck" in lines
    finally:
        with open(directory + "/free", "w", encoding="ascii"):
            pass
    client.response()
    client.close()
    o.daemon.wait_log("came back")


# -- Is memory growing? --


def memory(lines, page):
    """States, bytes of a script."""
    line, = [line for line in lines if line.startswith("scripts ") and "/%s " % page in line]
    idle, busy, size = re.search(r"idle (\d+), busy (\d+), .*memory (\d+),", line).groups()
    return int(idle) + int(busy), int(size)


def test_a_script_whose_memory_grows(operator):
    o = operator(WorkerThreads=1, WorkerThreadsMax=1)
    leak = o.daemon.script("kept = {} function main() kept[#kept + 1] = ('x'):rep(200000) end")
    good = o.daemon.script("function main() Send(#('x'):rep(200000)) end")

    def look():
        for _ in range(5):
            o.daemon.get(leak)
            o.daemon.get(good)
        return wait_until(lambda: [found for found in [o.run(MEMORY)]
                                   if o.value(found, "states busy") == "0"], "them to rest")[0]
    before, after = look(), look()
    states, size = memory(before, leak)
    assert memory(after, leak)[0] == states and memory(after, leak)[1] - size >= 5 * 200000
    assert abs(memory(after, good)[1] - memory(before, good)[1]) < 200000
    grown = [int(o.value(lines, "states memory")) for lines in (before, after)]
    assert grown[1] - grown[0] >= 5 * 200000 - 200000
    assert int(o.value(after, "daemon memory resident")) > grown[1]


# -- Why are there errors? --


def test_errors_and_where_they_are(operator):
    o = operator()
    o.daemon.site.write("report.lua", "\n\n\nfunction main() error('no such table') end")
    o.daemon.site.write("hello.lua", QUICK)
    for year in range(2020, 2023):
        o.web.get("/report.lua?year=%d" % year)
        o.web.get("/hello.lua")
    o.daemon.expect_error("no such table")
    lines = o.run(ERRORS)
    assert o.value(lines, "requests errors") == "3" and len(lines) == 4
    assert lines[1].startswith("last errors /report.lua?year=2022: time ")
    assert lines[1].endswith("status 500, script %s, message %s:4: no such table" % (
        o.path("report.lua"), o.path("report.lua")))
    lines = o.run(ERRORS, 1)
    assert any("year=2022" in line for line in lines)
    assert any("stack traceback" in line for line in lines)
    assert any("report.lua:4: in function" in line for line in lines)


# -- Who fills the log? What if the disk is full? --


def test_the_script_that_fills_the_log(operator):
    o = operator(LuaMaxErrors=0)
    o.daemon.any_errors = True
    o.daemon.site.write("chatty.lua", "function main() for i = 1, 50 do Log('warning', 'x: ', i) end end")
    o.daemon.site.write("report.lua", "function main() error('a: b') end")
    for _ in range(2):
        o.daemon.get("chatty.lua")
        o.daemon.get("report.lua")

    def told():
        lines = [line.split() for line in o.run(FILLS)]
        return (len(lines) == 3 and lines[0] == ["100", "warning", o.path("chatty.lua")] and
                lines[1][1:] == ["...", o.path("report.lua")] and
                lines[2] == ["2", "error", o.path("report.lua")])
    wait_until(told, "all lines to be counted")


def test_a_full_disk_costs_lines_and_no_requests(operator):
    o = operator(AccessLogPath="/dev/full")
    page = o.daemon.script(QUICK)

    def lost():
        assert o.daemon.get(page).status == 200
        lines = o.run(FULL)
        assert len(lines) == 3 and o.value(lines, "daemon log lines lost") == "0"
        return int(o.value(lines, "daemon access log lines lost")) > 0
    wait_until(lost, "the lines to be counted")
    o.daemon.wait_log("lines of the access log were lost: No space left", "warning")
    assert len(o.run(FULL, 1)) == 2


# -- Are scripts loaded again and again? --


def test_scripts_are_loaded_again_for_lack_of_states_in_all(operator):
    o = operator(WorkerThreads=1, WorkerThreadsMax=1, LuaTotalStates=2)
    pages = [o.daemon.script(QUICK) for _ in range(3)]
    seen = []
    for _ in range(2):
        for page in pages * 3:
            o.daemon.get(page)
        lines = o.run(LOADED)
        seen.append((int(o.value(lines, "states loads")), int(o.value(lines, "states evictions"))))
        assert o.value(lines, "states extra made") == "0"
        assert o.value(lines, "limits LuaTotalStates") == "2"
    assert seen[1][0] - seen[0][0] >= 6 and seen[1][1] - seen[0][1] >= 6


def test_scripts_are_loaded_again_for_lack_of_states_of_a_script(operator):
    o = operator(WorkerThreads=3, LuaMaxStates=1, LuaMaxSearchRetries=0)
    page = o.daemon.script(HOLD)
    with o.held(page, 3):
        lines = o.run(LOADED)
    assert o.value(lines, "states extra made") == "2" and o.value(lines, "states loads") == "3"
    assert o.value(lines, "states evictions") == "0" and o.value(lines, "limits LuaMaxStates") == "1"


# -- How near are the limits? Is it alive? --


def test_the_limits_are_told_beside_what_they_bound(operator):
    o = operator(MaxWaiting=50)
    page = o.daemon.script("function main() Flush() Sleep(600) end")
    with o.daemon.open(page, "GET") as client:
        client.end().read_until("\r\n\r\n")
        lines = wait_until(lambda: [found for found in [o.run(NEAR)]
                                    if o.value(found, "requests waiting") == "1"], "one to wait")[0]
        limits = o.run(NEAR, 1)
    for number, told in enumerate((lines, limits)):
        assert keys(told) == keys(manual.commands(CHAPTER[NEAR])[number][1])
    assert o.value(lines, "states busy") == "1" and int(o.value(lines, "connections open")) >= 1
    assert o.value(limits, "limits MaxWaiting") == "50"
    assert o.value(limits, "limits WorkerThreadsMax") == "4"


def test_it_is_alive_and_not_late(operator):
    o = operator()
    assert o.run(ALIVE) == ["pong"]
    lines = o.run(ALIVE, 1)
    assert keys(lines) == keys(manual.commands(CHAPTER[ALIVE])[1][1])
    assert all(float(line.split()[-1]) < 60 for line in lines)


def test_what_the_log_warns_of_is_in_the_status(operator):
    o = operator(WorkerThreads=1, WorkerThreadsMax=1, LuaTotalStates=1)
    for page in [o.daemon.script(QUICK) for _ in range(3)]:
        o.daemon.get(page)
    lines = o.run("Warnings")
    assert o.value(lines, "states evictions") == "2" and o.value(lines, "channels lost") == "0"
    o.daemon.wait_log("Lua states were closed to make room", "warning")


# -- Under load --


def test_all_of_it_is_answered_under_a_mixed_load(operator, scratch):
    directory = scratch()
    o = operator(AccessLogPath=directory + "/access.log", AccessLogFormat="timed")
    o.directory = directory
    o.daemon.any_errors = True
    pages = {"hello.lua": QUICK, "broken.lua": "function main() error('broken') end",
             "wait.lua": "function main() Sleep(0.4) end",
             "report.lua": "function main() os.execute('sleep 0.8') end",
             "sum.lua": "function main() local n = 0 for i = 1, 1e4 do n = n + i end end"}
    for name, source in pages.items():
        o.daemon.site.write(name, source)
    stop = threading.Event()

    def load(name):
        while not stop.is_set():
            o.web.get("/" + name)
    threads = [threading.Thread(target=load, args=(name,)) for name in list(pages) * 2]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: read(directory + "/access.log").count("\n") > 50, "some requests")
        for question, text in CHAPTER.items():
            for number in range(len(manual.commands(text))):
                wait_until(lambda q=question, n=number: o.run(q, n), question)
        slow = [line.split()[1] for line in o.run(SLOW, 1)]
        assert slow[:2] == [o.path("report.lua"), o.path("wait.lua")]
    finally:
        stop.set()
        for thread in threads:
            thread.join()
