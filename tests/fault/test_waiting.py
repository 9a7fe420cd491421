"""Connections that wait, for ever or nearly: they have no worker, they have deadlines, and
when there is no room for more they make it."""

import subprocess
import sys
import time

import pytest

import peers
from fastcgi import PARAMS, begin, pairs, record
from peers import Idling, Peer, healthy, limit_descriptors
import servers
from servers import PATIENCE, free_port, wait_until

DAEMON = {"WorkerThreads": 4}

# Whole records of no request, each in a write of its own, until nobody takes them.
FLOOD = """
import socket, sys
peer = socket.socket(fileno=int(sys.argv[1]))
record = bytes((1, 5, 0, 9, 3, 248, 0, 0)) + bytes(1016)
try:
    while True:
        peer.send(record)
except OSError:
    pass
"""
HOLD = "function main() Flush() %s return 'held' end" % servers.BLOCK
LATE = 10  # seconds after a deadline; the sweep comes once a second


def idle(daemon, query="idle"):
    """A kept connection that has served a request."""
    c = daemon.connect()
    peers.serve(c, daemon, query)
    return c


def hold(daemon):
    """A connection whose request a worker serves, and goes on serving."""
    return daemon.hold(peers.page(daemon.site, "hold.lua", HOLD), keep=True)


def close_all(connections):
    for c in connections:
        c.close()


# -- more of them than workers --

def test_more_idle_kept_connections_than_workers(web):
    kept = [idle(web) for _ in range(16)]
    for _ in range(3):
        healthy(web)
    for c in kept:
        peers.serve(c, web, "again")
    close_all(kept)


def test_half_heads_silent_and_idle_connections_by_the_dozen(web):
    """64 of each, and 64 that went away in the middle: a healthy request does not wait."""
    request = peers.whole(web, "half", keep=False)
    half = [web.connect().send(request[:8 + i]) for i in range(64)]
    silent = [web.connect() for _ in range(64)]
    kept = [idle(web) for _ in range(64)]
    for i in range(64):
        web.connect().send(request[:i]).close()
    with Idling(web):
        took = sorted(healthy(web) for _ in range(50))
        assert not silent[0].is_closed(1)
    assert took[25] < 1 and took[-1] < 10, took
    for i, c in enumerate(half):
        c.send(request[8 + i:])
        peers.check(c.response(), "half")
    for c in kept + silent:
        peers.serve(c, web, "at last")
    close_all(half + silent + kept)
    assert not peers.warnings(web)


# -- tricklers --

def test_heads_that_come_a_byte_a_millisecond_are_served(web):
    request = peers.whole(web, "slow")

    def trickle(c):
        peers.trickle(c, request)
        peers.check(c.response(), "slow")
        c.close()
    tricklers = [Peer(trickle, web.connect()) for _ in range(16)]
    served = 0
    while any(t.is_alive() for t in tricklers):
        healthy(web)
        served += 1
    for t in tricklers:
        t.finish()
    assert served > 0 and not peers.warnings(web)


def test_late_heads_are_closed_at_read_timeout(daemon):
    """Silent, half, trickling without end, or asking for values all the time: from its
    first byte on, a head has ReadTimeout to come."""
    d = daemon(WorkerThreads=1, ReadTimeout=1)
    endless = begin() + record(PARAMS, pairs({"N": "x" * 30000}) * 2)
    began = time.monotonic()
    again = idle(d)
    late = {"silent": (d.connect(), b""), "half": (d.connect(), endless[:20]),
            "cut": (d.connect(), peers.whole(d)[:-9]),
            "second": (again, endless[:9])}
    for c, data in late.values():
        c.send(data)
    trickling, asking = d.connect(), d.connect()
    done = []
    tricklers = [Peer(peers.trickle, trickling, endless, lambda: trickling.eof or done),
                 Peer(peers.trickle, asking, peers.ask("FCGI_MAX_CONNS") * 1000,
                      lambda: asking.eof or done)]
    with Idling(d):
        for name, (c, _) in late.items():
            assert c.is_closed(PATIENCE), name
            assert 0.9 < time.monotonic() - began < 1 + LATE, name
    for t in tricklers:
        t.finish()
    assert time.monotonic() - began < 1 + 2 * LATE
    assert trickling.eof or trickling.broken
    assert asking.eof or asking.broken
    d.wait_log("connection closed: no whole request came within ReadTimeout", "info")
    close_all([c for c, _ in late.values()] + [trickling, asking])


@pytest.mark.parametrize("way", ["head", "linger"])
def test_peers_that_never_stop_sending_are_closed_too(daemon, way):
    """One whose socket is never empty has the deadline of one that is silent: before a
    request, and behind a response when the daemon waits for it to be read."""
    d = daemon(WorkerThreads=1, ReadTimeout=1)
    with d.connect() as c:
        if way == "linger":
            c.send(peers.whole(d, "x", keep=False)[:-8])
            peers.check(c.response(), "x")
        c.sock.setblocking(True)
        senders = [subprocess.Popen([sys.executable, "-S", "-c", FLOOD, str(c.sock.fileno())],
                                    pass_fds=[c.sock.fileno()]) for _ in range(4)]
        try:
            while any(s.poll() is None for s in senders[1:]):
                healthy(d)
                senders[0].wait(PATIENCE)
        finally:
            for s in senders:
                s.kill()
                s.wait()


class Used:
    """A kept connection that is used again and again. When this process has not run for a
    while, it is another: the daemon may have closed the first."""

    def __init__(self, daemon):
        self.daemon, self.connection = daemon, idle(daemon)
        self.began = self.last = time.monotonic()

    def age(self):
        return time.monotonic() - self.began

    def use(self, longest):
        if time.monotonic() - self.last > longest:
            self.connection.close()
            self.__init__(self.daemon)
        peers.serve(self.connection, self.daemon, "used")
        self.last = time.monotonic()


def test_idle_connections_are_closed_at_keep_alive_timeout(daemon):
    """Not before: ReadTimeout is not for them. And not while they are used."""
    keep = 2.5
    d = daemon(WorkerThreads=1, ReadTimeout=1, KeepAliveTimeout=keep)
    began = time.monotonic()
    c, used = idle(d), Used(d)
    with Idling(d):
        while not c.is_closed(0.2):
            assert time.monotonic() < began + keep + LATE
            used.use(keep / 2)
    assert time.monotonic() - began > keep - 0.1
    while used.age() < keep + 0.5:
        assert time.monotonic() < began + 4 * (keep + LATE)
        used.use(keep / 2)
        time.sleep(0.2)  # between two requests
    assert used.connection.is_closed(keep + LATE)
    assert not peers.warnings(d) and "ReadTimeout" not in d.log()
    close_all([c, used.connection])


# -- MaxConnections --

def test_longest_idle_connection_makes_room(daemon):
    d = daemon(WorkerThreads=2, MaxConnections=8)
    kept = []
    for i in range(8):
        kept.append(idle(d))
        assert not kept[-1].is_closed(0.1)  # so that its worker has let go of it
    peers.serve(kept[0], d, "not any more")
    newer = idle(d)
    assert kept[1].is_closed(PATIENCE)
    assert not any(c.is_closed() for c in kept[:1] + kept[2:] + [newer])
    d.wait_log("MaxConnections are open: idle connections are closed to make room", "warning")
    others = [idle(d) for _ in range(20)]
    assert sum(c.is_closed() for c in kept + [newer] + others) >= 21
    assert d.log().count("MaxConnections are open") == 1
    close_all(kept + [newer] + others)


@pytest.mark.parametrize("sent", [b"", b"\1\1\0\1"], ids=["silent", "half"])
def test_half_heads_make_room_for_the_healthy(daemon, sent):
    d = daemon(WorkerThreads=2, MaxConnections=8, ReadTimeout=120)
    crowd = [d.connect().send(sent) for _ in range(32)]
    for _ in range(10):
        healthy(d)
    d.wait_log("MaxConnections are open", "warning")
    assert d.log().count("MaxConnections are open") == 1
    close_all(crowd)


def test_served_connections_are_never_closed_for_room(daemon):
    d = daemon(WorkerThreads=3, MaxConnections=3)
    held = [hold(d) for _ in range(3)]
    with Idling(d), d.connect() as waiting:
        waiting.send(peers.whole(d, "waited", keep=False))
        with pytest.raises(TimeoutError):
            waiting.read_record(0.3)
        assert not any(c.is_closed() for c in held)
        for c in held:
            c.end()
        for c in held:
            assert c.response(before=b"\r\n\r\n").text == "held"
        peers.check(waiting.response(), "waited")
    close_all(held)


@pytest.mark.parametrize("kept", [False, True], ids=["newcomers", "kept"])
def test_request_that_has_come_is_served_though_room_is_wanted(daemon, kept):
    """The only worker is busy when it comes, and others wait to be accepted by then."""
    d = daemon(WorkerThreads=1, MaxConnections=4)
    quiet = [d.connect() for _ in range(3)]
    if kept:
        for c in quiet:
            peers.serve(c, d, "before")
    wait_until(lambda: peers.connections(d) == 3, "the connections to be accepted")
    held = hold(d)
    time.sleep(0.3)  # a head has so long to come until its connection may be closed
    others = [d.connect().send(peers.whole(d, "other", keep=False)) for _ in range(12)]
    for c in quiet:
        c.send(peers.whole(d, "in time"))
    held.end()
    assert held.response(before=b"\r\n\r\n").text == "held"
    for c in quiet:
        peers.check(c.response(), "in time")
    for c in others:
        peers.check(c.response(), "other")
    close_all([held] + quiet + others)


# -- descriptors --

def test_descriptors_exhausted(daemon):
    """None left for the next connection: idle ones go, or it waits; the log says so once;
    nothing spins; and when there are some again, it says that."""
    d = daemon(WorkerThreads=2)
    close_all([hold(d), hold(d)])  # both workers are there, and have what they need
    peers.wait_idle(d)
    before = limit_descriptors(d, peers.highest_descriptor(d) + 5)
    kept = []
    for i in range(40):
        kept.append(idle(d, "n%d" % i))
    assert sum(not c.is_closed() for c in kept) <= 6
    d.wait_log("Too many open files: idle connections are closed to make room", "warning")
    close_all(kept)
    peers.wait_idle(d)

    # Not one: whoever comes waits until there is.
    limit_descriptors(d, 3)
    with Idling(d):
        with d.connect() as waiting:
            waiting.send(peers.whole(d, "waited", keep=False))
            with pytest.raises(TimeoutError):
                waiting.read_record(0.5)
            limit_descriptors(d, before[0])
            peers.check(waiting.response(), "waited")
    assert d.log().count("Too many open files") == 1
    d.wait_log("connections are accepted without trouble again", "warning")
    assert d.log().count("without trouble again") == 1


def test_descriptors_exhausted_over_tcp_while_all_workers_wait(daemon):
    d = daemon(WorkerThreads=2, Listen="127.0.0.1:%d" % free_port())
    close_all([hold(d), hold(d)])  # both workers are there, and have what they need
    peers.wait_idle(d)
    before = limit_descriptors(d, 3)
    waiting = [d.connect().send(peers.whole(d, "n%d" % i, keep=False)) for i in range(20)]
    d.wait_log("Too many open files", "warning")
    limit_descriptors(d, before[0])
    for i, c in enumerate(waiting):
        peers.check(c.response(), "n%d" % i)
    close_all(waiting)
    assert d.log().count("Too many open files") == 1
