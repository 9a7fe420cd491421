"""64 clients at once, most of them hostile, for some seconds. The healthy ones never fail,
and when all have gone nothing is left of them. This is what a daemon built with
SANITIZE=thread is to be run against."""

import random
import time

import pytest

import fastcgi
import peers
from fastcgi import ABORT_REQUEST, PARAMS, STDIN, begin, head, pairs, record
from peers import Canary, Peer, params
from servers import PATIENCE, SANITIZER

pytestmark = pytest.mark.alone
# The first and the last are longer than one of 64 threads has to wait for its turn.
DAEMON = {"WorkerThreads": 4, "ReadTimeout": 4, "KeepAliveTimeout": 1, "WriteTimeout": 4,
          "MaxConnections": 80}
CLIENTS, HEALTHY_CLIENTS = 64, 16
SECONDS = 4

SCRIPTS = {
    "hello.lua": "function main() return 'hello ' .. Env.QUERY_STRING end",
    "echo.lua": "function main() return Receive() end",
    "megabyte.lua": "function main() return ('0123456789abcdef'):rep(65536) end",
    "stream.lua": "function main() for i = 1, 50 do Send(('x'):rep(1000)) Flush() end end",
}


class Crowd:
    """What its members share."""

    def __init__(self, daemon):
        self.daemon, self.canary = daemon, Canary(daemon)
        self.params = {name: params(daemon, "", name, source) for name, source in SCRIPTS.items()}
        self.until = time.monotonic() + SECONDS
        self.served = 0
        self.behaved = {}

    def connect(self):
        return self.daemon.connect(timeout=2 * PATIENCE)

    def request(self, name, keep, body=b"", query=""):
        return (head({**self.params[name], "QUERY_STRING": query}, keep) +
                fastcgi.stream(STDIN, body))


# -- the healthy --

def check(response, status, body):
    assert (response.status, response.body, response.ended) == (status, body, True), response


def healthy_client(crowd, seed):
    """A web server, with a connection for each request. Returns its worst wait."""
    rnd, worst = random.Random(seed), 0
    while time.monotonic() < crowd.until:
        began, query = time.monotonic(), str(rnd.random())
        with crowd.connect() as c:
            if rnd.random() < 0.5:
                body = rnd.randbytes(rnd.choice((0, 10, 5000, 70000)))
                check(c.send(crowd.request("echo.lua", False, body)).response(), 200, body)
            else:
                c.send(crowd.request("hello.lua", False, query=query))
                check(c.response(), 200, b"hello " + query.encode())
        worst = max(worst, time.monotonic() - began)
        crowd.served += 1
    return worst


# -- the others: each does its worst on a connection, once --

def half_head(crowd, c, rnd):
    data = crowd.request("hello.lua", True)
    c.send(data[:rnd.randrange(len(data) - 8)])
    c.is_closed(rnd.random())


def silent(crowd, c, rnd):
    c.is_closed(rnd.random())


def idle(crowd, c, rnd):
    c.send(crowd.request("hello.lua", True))
    c.response()
    c.is_closed(rnd.random())


def trickle(crowd, c, rnd):
    peers.trickle(c, crowd.request("hello.lua", True, b"body"))
    c.response()


def garbage(crowd, c, rnd):
    c.send(b"\1" + rnd.randbytes(rnd.randint(1, 300)))
    c.is_closed(rnd.random() / 4)


def wrong(crowd, c, rnd):
    c.send(rnd.choice([
        begin() + record(STDIN), begin(request_id=0), begin() + record(PARAMS, b"\xff" * 8),
        begin() + fastcgi.stream(PARAMS, pairs({"A=B": "c"})), head(crowd.canary.params, role=3),
        begin() + record(PARAMS, b"x" * 65535) * 2,
        head(crowd.canary.params)[:-8] + record(ABORT_REQUEST)]))
    peers.read_to_end(c)


def values(crowd, c, rnd):
    c.send(peers.ask(*["FCGI_MAX_CONNS"] * 4) * rnd.randint(1, 100) +
           crowd.request("hello.lua", False))
    peers.read_to_end(c)


def forge(crowd, c, rnd):
    for _ in range(3):
        junk = rnd.randbytes(rnd.randrange(9000))
        c.send(crowd.request("hello.lua", True, junk + crowd.canary.request * 2))
        c.response()


def abort(crowd, c, rnd):
    c.send(head(crowd.params["echo.lua"], True) + record(STDIN, b"part") + record(ABORT_REQUEST))
    c.is_closed(0)


def pipeline(crowd, c, rnd):
    c.send(crowd.request("hello.lua", True, b"unread") * 20)
    for _ in range(rnd.randint(0, 20)):
        c.response()


def vanish(crowd, c, rnd):
    c.send(crowd.request(rnd.choice(("megabyte.lua", "stream.lua")), rnd.random() < 0.5))
    if rnd.random() < 0.5:
        c.read_record()


def endless(crowd, c, rnd):
    data = record(STDIN, b"x" * 32768)
    c.begin(crowd.params["hello.lua"], True)
    for _ in range(rnd.randint(1, 50)):
        c.send(data)


def shut(crowd, c, rnd):
    c.send(crowd.request("echo.lua", True, b"x" * 10000)).shut()
    peers.read_to_end(c)


WAYS = [half_head, silent, idle, trickle, garbage, wrong, values, forge, abort, pipeline,
        vanish, endless, shut]


def hostile_client(crowd, seed):
    rnd = random.Random(seed)
    ways = WAYS[seed % len(WAYS):] + WAYS[:seed % len(WAYS)]
    while time.monotonic() < crowd.until:
        for way in ways:
            if time.monotonic() >= crowd.until:
                break
            with crowd.connect() as c:
                try:
                    way(crowd, c, rnd)
                except (AssertionError, OSError):
                    pass  # cut off, closed to make room, out of time: it has no claim
            crowd.behaved[way.__name__] = True


def test_crowd(web):
    web.any_errors = True  # bodies that do not arrive whole are errors of their scripts
    crowd = Crowd(web)
    members = [Peer(healthy_client if i < HEALTHY_CLIENTS else hostile_client, crowd,
                    i) for i in range(CLIENTS)]
    waits = [m.finish() for m in members[:HEALTHY_CLIENTS]]
    for m in members[HEALTHY_CLIENTS:]:
        m.finish()
    crowd.canary.check()
    assert len(crowd.behaved) == len(WAYS) and crowd.served >= 2 * HEALTHY_CLIENTS, \
        (crowd.served, crowd.behaved)
    assert max(waits) < (30 if SANITIZER else 15), max(waits)
