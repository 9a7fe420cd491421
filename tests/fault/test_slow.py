"""Peers that are slow but go on: a worker that waits for one is not a script that is
stuck, and its script's time does not pass meanwhile."""

import select
import time

import pytest

import peers
from fastcgi import STDIN, head, record
from peers import params
from servers import PATIENCE, SANITIZER

pytestmark = pytest.mark.alone
LIMIT = 3 if SANITIZER else 1.2  # seconds, of RequestTimeout and Watchdog
SIZE = 20000000
PAGES = {"whole": "function main() return ('x'):rep(1000):rep(%d) end" % (SIZE // 1000),
         "stream": "function main() for i = 1, 20 do Send(('x'):rep(1000):rep(%d)) Flush() end end" %
                   (SIZE // 20000)}


@pytest.fixture
def hasty(daemon):
    def make(**options):
        return daemon(WorkerThreads=2, WorkerThreadsMax=3, RequestTimeout=LIMIT, Watchdog=LIMIT,
                      ReadTimeout=10, LuaMaxStates=8, **options)
    return make


def sip(sockets, seconds):
    """Reads a little from each, all the time; returns how much of each, in bytes."""
    got, until = [0] * len(sockets), time.monotonic() + seconds
    while time.monotonic() < until:
        for sock in select.select(sockets, [], [], 0.02)[0]:
            got[sockets.index(sock)] += len(sock.recv(8192))
        time.sleep(0.02)
    return got


def drain(sockets):
    """Reads all of each, whichever comes first; returns how much, in bytes."""
    got, left = dict.fromkeys(sockets, 0), list(sockets)
    while left:
        ready = select.select(left, [], [], PATIENCE)[0]
        assert ready, "nothing came for %d s: %s" % (PATIENCE, got.values())
        for sock in ready:
            data = sock.recv(1 << 20)
            got[sock] += len(data)
            if not data:
                left.remove(sock)
    return list(got.values())


@pytest.mark.parametrize("source", PAGES.values(), ids=PAGES)
def test_slow_readers_are_no_stuck_scripts(hasty, source):
    """As many as there are workers, and one more."""
    d = hasty()
    readers = [d.connect().send(head(params(d, "", "large.lua", source)) + record(STDIN))
               for _ in range(2)]
    late = d.connect().send(head(params(d, "", "large.lua", source)) + record(STDIN))
    for c in readers:
        c.sock.settimeout(PATIENCE)
    sipped = sip([c.sock for c in readers], 3 * LIMIT)
    assert all(0 < n < SIZE / 2 for n in sipped), sipped
    assert peers.warnings(d) == []
    for c in readers:
        while c.sock.recv(1 << 20):
            pass
    assert len(late.response().body) == SIZE
    peers.healthy(d)
    assert peers.warnings(d) == []


def test_slow_readers_through_nginx_are_no_stuck_scripts(hasty, nginx):
    d = hasty()
    d.site.write("large.lua", PAGES["whole"])
    d.site.write("hello.lua", "function main() return 'hello' end")
    front = nginx(d, location="fastcgi_buffering off;")
    readers = [front.connect() for _ in range(3)]
    for c in readers:
        c.sock.sendall(b"GET /large.lua HTTP/1.0\r\nHost: localhost\r\n\r\n")
    sockets = [c.sock for c in readers]
    sipped = sip(sockets, 3 * LIMIT)
    assert peers.warnings(d) == [] and d.running()
    assert all(some + rest > SIZE for some, rest in zip(sipped, drain(sockets)))
    for c in readers:
        c.close()
    assert front.get("hello.lua").content == b"hello"
    assert peers.warnings(d) == []


def test_a_body_that_comes_slowly_but_steadily_costs_no_time_of_its_script(hasty):
    d = hasty()
    d.site.write("sum.lua", "function main() return #Receive() end")
    with d.connect() as c:
        c.send(head(params(d, "", "sum.lua", "")))
        began, size = time.monotonic(), 0
        while time.monotonic() - began < 3 * LIMIT:
            c.send(record(STDIN, b"x" * 400))
            size += 400
            time.sleep(0.02)
        c.send(record(STDIN))
        assert c.response().text == str(size)
    assert peers.warnings(d) == []


def test_a_body_of_a_byte_now_and_then_does_not_hold_a_worker(hasty):
    """The waits for it have RequestTimeout together, and the time of what has come."""
    d = hasty()
    d.site.write("sum.lua", "function main() return #Receive() end")
    with d.connect() as c:
        c.send(head(params(d, "", "sum.lua", "")))
        began = time.monotonic()
        while "came too slowly" not in d.log() and time.monotonic() - began < 20:
            c.send(record(STDIN, b"x"))
            time.sleep(0.02)
        took = time.monotonic() - began
        assert c.response().status == 400
    assert LIMIT * 0.9 < took < LIMIT * 1.5 + 10
    d.wait_log("400: the body did not arrive whole", "info")
