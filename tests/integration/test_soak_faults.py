"""Bad scripts of every kind mixed with good ones: every good request succeeds, and no
memory is lost.

LUAFCGID2_FAULT_SOAK says for how many seconds; the first two fifths of them are the warming up.
"""

import collections
import contextlib
import itertools
import os
import select
import statistics
import time
import types

import pytest

import fastcgi
import servers
from harm import OWN_MEMORY, process_state
from servers import wait_until

pytestmark = pytest.mark.alone
SECONDS = float(os.environ.get("LUAFCGID2_FAULT_SOAK", "10"))
CONNECTIONS = 64
SLACK = 6 << 20  # bytes by which resident memory may move: what is alive differs
MOST = 64 << 20  # bytes: each of 8 workers may just now be at a limit, of state and body

DAEMON = {"WorkerThreads": 8, "RequestTimeout": 2, "Watchdog": 0,
          "ScriptMemoryLimit": 2 << 20, "LuaMaxStates": 8, "LuaTotalStates": 64,
          "LuaMaxRequests": 500,
          "SessionMaxCount": 100}  # soon reached: each answer of "session" makes a new one

NEST = "local t = {1} for i = 1, 40 do t = {t, t} end "  # 2^40 values in 40 tables

GOOD = {
    "hello": "function main() return 'good' end",
    "count": "n = 0 function main() n = n + 1 Send('go') Send('od') end",
    "echo": "function main() local b = Receive() assert(#b == 5000) return 'good' end",
    "module": "local m = require 'word' function main() return m.word end",
    "session": "function main() Session.SetVar('a', 'b', 'good') "
               "return Session.GetVar('a', 'b') end",
    "flush": "function main() Send('go') Flush() Send('od') end",
    "child": "function main() local p = io.popen('echo good') local s = p:read() p:close() "
             "return s end",
    "forgotten_file": "function main() return io.open('good.txt'):read('a') end",
    "forgotten_child": "function main() return io.popen('echo good'):read() end",
}
BAD = {
    # What is left when the state is closed, soon: it fails, and is renewed at the third time.
    "coroutines": (500, "kept = setmetatable({}, {__gc = function() for i = 1, 1000000 do "
                        "coroutine.wrap(function() for j = 1, 1000000 do end end)() end end}) "
                        "function main() error() end"),
    "pipes": (500, "kept = {} for i = 1, 3 do local p = io.popen('sleep 1000', 'w') "
                   "p:setvbuf('full', 8192) p:write(('x'):rep(65536)) p:write('more') "
                   "kept[i] = p end function main() error() end"),
    "loop": (504, "function main() while true do end end"),
    "pcall": (500, "function main() local function f() while true do pcall(f) end end f() end"),
    "gc": (504, "function main() setmetatable({}, {__gc = function() while true do end end}) "
                "while true do collectgarbage() end end"),
    "coroutine": (504, "local co = coroutine.wrap(function() while true do end end) "
                       "function main() while true do pcall(co) end end"),
    "load": (504, "while true do end"),
    "gc_later": (504, "function main() local m = {__gc = true} setmetatable({}, m) "
                      "m.__gc = function() while true do pcall(error) end end "
                      "collectgarbage() end"),
    "gc_of_files": (200, "function main() io.open('/dev/null'):close() "
                         "getmetatable(io.stdout).__gc = function() while true do end end "
                         "collectgarbage() end"),
    "hook_handler": (504, "function main() xpcall(function() debug.sethook(function() "
                          "error('x') end, '', 1000) while true do end end, function() "
                          "while true do end end) end"),
    "pcall_nest": (500, "function main() coroutine.wrap(function() local function f() "
                        "while true do pcall(f) end end f() end)() end"),
    "compile": (504, "function main() local t = {} for i = 1, 10000 do t[i] = 'goto a ' end "
                     "local s = 'do local x ' .. table.concat(t) .. '::a:: x = x end ' "
                     "while true do load(s) end end"),
    "sleep": (504, "function main() os.execute('sleep 1000') end"),
    "rep": (500, "function main() pcall(string.rep, 'x', 1 << 30) end"),
    "bomb": (500, "function main() local t = {} while true do t[#t + 1] = {} end end"),
    "kept": (500, "kept = {} function main() while true do kept[#kept + 1] = {} end end"),
    "send": (500, "function main() while true do Send(('x'):rep(10000)) end end"),
    "serialize": (500, NEST + "function main() while true do pcall(lf.serialize, t) end "
                      "end"),
    "large_session": (200, NEST + "function main() Session.SetVar('a', 'b', t) end"),
    "form": (400, "local form = {} for i = 1, 1001 do form[i] = ('x'):rep(33) .. i end "
                  "function main() lf.parse(table.concat(form, '&')) end"),
    "many_files": (200, "function main() for i = 1, 100 do io.open('good.txt') end end"),
    "bomb_at_load": (500, "local t = {} while true do t[#t + 1] = {} end"),
    "nil": (500, "function main() error() end"),
    "table": (500, "function main() error({}) end"),
    "tostring": (500, "function main() error(setmetatable({}, {__tostring = error})) end"),
    "yield": (500, "function main() coroutine.yield() end"),
    "recursion": (500, "function main() local function f() return ('x'):gsub('.', f) end f() end"),
    "syntax": (500, "function main( end"),
    "no_main": (500, "x = 1"),
    "setlocal": (500, "local function f() debug.setlocal(2, 5, 1) end "
                      "function main() local t = {1, f(), 2, f(), x = f()} end"),
    "original": (500, "local o load(function() o = debug.getinfo(2, 'f').func end) "
                      "function main() o(string.dump(main))() end"),
    "exit_at_load": (500, "os.exit()"),
    "exit": (200, "function main() Send('exited') os.exit(1) end"),
}
# Handlers and finalizers that Lua calls with hooks off: ThreadSanitizer delivers no signal
# there (test_limits.py has the same in `rows`).
if servers.SANITIZER == "thread":
    del BAD["hook_handler"], BAD["gc_later"]
KINDS = set(GOOD) | set(BAD)
# A worker is busy with a late script for the whole of its time, so those come as the clock
# says, and not as fast as they are answered: half of the workers are always late.
LATE_EVERY = 2 * DAEMON["RequestTimeout"] / DAEMON["WorkerThreads"]  # seconds


def plan():
    """Endless names of scripts: two good ones for each bad one."""
    good, quick = list(GOOD), [name for name in BAD if BAD[name][0] != 504]
    late = itertools.cycle(name for name in BAD if BAD[name][0] == 504)
    due = time.monotonic()
    for n in itertools.count():
        yield good[n % len(good)]
        yield good[(n // len(good) + n) % len(good)]
        if time.monotonic() >= due:
            due += LATE_EVERY
            yield next(late)
        else:
            yield quick[n % len(quick)]


class Client:
    """One connection, kept while the daemon keeps it."""

    def __init__(self, daemon, site, names):
        self.daemon, self.site, self.names = daemon, site, names
        self.connection = None
        self.ask()

    def ask(self):
        self.name = next(self.names)
        body = b"x" * 5000 if self.name == "echo" else b""
        params = self.site.params(self.name + ".lua", "POST" if body else "GET", body=body)
        if self.connection is None or self.connection.eof:
            self.connection = self.daemon.connect(60)
        self.connection.send(fastcgi.head(params, keep=True) +
                             fastcgi.stream(fastcgi.STDIN, body))

    def check(self):
        """What is wrong with the answer, which has begun to arrive; or None."""
        response = self.connection.response()
        if not response.ended:
            self.connection = None
        if self.name in GOOD:
            right = response.ended and (response.status, response.body) == (200, b"good")
        else:
            right = response.ended and response.status in (BAD[self.name][0], 504)
        return None if right else (self.name, response)


class SlowReader:
    """Takes longer over a page than scripts may run: a worker that waits for it is no late
    script."""

    SIZE, SIP, PAUSE = 800000, 2048, 0.02  # bytes, bytes, seconds: 100 KB/s

    def __init__(self, daemon, site):
        self.daemon, self.site = daemon, site
        site.write("large.lua", "function main() for i = 1, %d do Send(('x'):rep(1000)) end end" %
                   (self.SIZE // 1000))
        self.ask()

    def ask(self):
        self.connection = self.daemon.connect(60)
        self.connection.send(fastcgi.head(self.site.params("large.lua")) +
                             fastcgi.stream(fastcgi.STDIN, b""))
        self.due = time.monotonic()

    def sip(self):
        """True once all but what fits into the kernel has been read."""
        if time.monotonic() < self.due:
            return False
        self.due = time.monotonic() + self.PAUSE
        with contextlib.suppress(BlockingIOError):
            self.connection.incoming += self.connection.sock.recv(self.SIP)
        return len(self.connection.incoming) > self.SIZE * 0.8

    def check(self):
        response = self.connection.response()
        right = response.ended and len(response.body) == self.SIZE
        return None if right else ("large", response)


@pytest.fixture(scope="module")
def soak(request, module_daemons, module_scratch):
    site = servers.Site(os.path.join(module_scratch(), "www"))
    site.write("word.lua", "return {word = 'good'}")
    site.write("good.txt", "good")
    for name, source in GOOD.items():
        site.write(name + ".lua", source)
    for name, (_, source) in BAD.items():
        site.write(name + ".lua", source)
    daemon = module_daemons("soak", request.node, site)
    daemon.begin_test(site)
    daemon.any_errors = True
    result = types.SimpleNamespace(served=collections.Counter(), wrong=[], memory=[],
                                   before=process_state(daemon), daemon=daemon)
    names = plan()
    clients = [Client(daemon, site, names) for _ in range(CONNECTIONS)]
    readers = [SlowReader(daemon, site) for _ in range(2)]
    began = looked = time.monotonic()
    def goes_on():
        """A slow machine may need longer to come to every kind."""
        longest = SECONDS if KINDS <= set(result.served) else SECONDS + servers.PATIENCE
        return time.monotonic() < began + longest and len(result.wrong) < 10

    while goes_on():
        sockets = {c.connection.sock: c for c in clients}
        ready = select.select(list(sockets), [], [], servers.PATIENCE)[0]
        assert ready, "no answer for %d s" % servers.PATIENCE
        for sock in ready:
            client = sockets[sock]
            wrong = client.check()
            result.served[client.name] += 1
            if wrong:
                result.wrong.append(wrong)
            client.ask()
        for reader in readers:
            if reader.sip():
                result.served["large"] += 1
                result.wrong += filter(None, [reader.check()])
                reader.ask()
        if time.monotonic() > looked + SECONDS / 50:
            looked = time.monotonic()
            result.memory.append((looked - began, daemon.rss()))
    for client in clients + readers:
        wrong = client.check()
        if wrong:
            result.wrong.append(wrong)
        if client.connection:
            client.connection.close()
    yield result
    daemon.begin_test(site)


def test_every_request_is_answered_as_it_should_be(soak, capsys):
    good = sum(soak.served[name] for name in GOOD)
    with capsys.disabled():
        print("\n%d good requests and %d bad ones at %d connections in %g s, %d wrong" % (
            good, sum(soak.served[name] for name in BAD), CONNECTIONS, SECONDS,
            len(soak.wrong)))
    assert soak.wrong == []
    assert set(soak.served) - {"large"} == KINDS, "some kind was never asked for"


def test_process_is_as_it_was(soak):
    assert soak.daemon.running()
    wait_until(lambda: process_state(soak.daemon) == soak.before, "the process to be as it was")
    wait_until(lambda: soak.daemon.get("hello.lua").text == "good", "a healthy answer")


@OWN_MEMORY
def test_resident_memory_is_flat(soak, capsys):
    """The last third of the time needs no more than the one before, warmed up."""
    early = [rss for t, rss in soak.memory if 0.4 * SECONDS <= t < 0.7 * SECONDS]
    late = [rss for t, rss in soak.memory if t >= 0.7 * SECONDS]
    middle = [int(statistics.median(part)) >> 10 for part in (early, late)]
    with capsys.disabled():
        tenths = [[rss >> 10 for t, rss in soak.memory if int(t * 10 / SECONDS) == n]
                  for n in range(10)]
        print("\nresident by tenths of the time, KiB:",
              *(int(statistics.median(part)) for part in tenths if part))
        print("resident in the middle %d KiB at first and %d KiB at last, warmed up, at "
              "most %d KiB" % (middle[0], middle[1],
                               max(early + late) >> 10))
    assert statistics.median(late) <= statistics.median(early) + SLACK
    assert max(late) <= MOST
