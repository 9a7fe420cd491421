"""Web servers that do not take the response, and how the daemon lets go of those that do:
nothing is cut off, and nobody waits for the end of what is there already."""

import os
import re
import time

import pytest

import fastcgi
import peers
from fastcgi import STDIN, head
from peers import LARGE, LARGE_SIZE, healthy, params
from servers import PATIENCE, SANITIZER, free_port, wait_until

DAEMON = {"WorkerThreads": 2}

MEGABYTE = "function main() return ('0123456789abcdef'):rep(65536) end"
STREAM = """function main()
    for i = 1, 16 do Send(('0123456789abcdef'):rep(4096)) Flush() end
end"""
UNREAD = "function main() return ('0123456789abcdef'):rep(32768) end"  # fits into buffers
ECHO = "function main() return #Receive() end"
AT_ONCE = 5 if SANITIZER else 1  # seconds; libfcgi's own close takes two


@pytest.fixture(params=["unix", "tcp"])
def either(request, daemon):
    """A daemon on a unix socket, and one on TCP."""
    listen = {"Listen": "127.0.0.1:%d" % free_port()} if request.param == "tcp" else {}
    return daemon(WorkerThreads=4, **listen)  # so that nobody waits for one


def ask(daemon, source, name, keep=False, body=b""):
    return daemon.connect().send(
        head(params(daemon, "", name, source), keep) + fastcgi.stream(STDIN, body))


# -- those that vanish --

@pytest.mark.parametrize("source", [MEGABYTE, STREAM, LARGE], ids=["whole", "stream", "large"])
@pytest.mark.parametrize("read", [0, 1, 1000, 100000])
@pytest.mark.parametrize("way", ["close", "reset"])
def test_reader_that_vanishes(either, source, read, way):
    """Before the response, at its first byte, in its middle."""
    for _ in range(3):
        c = ask(either, source, "page.lua")
        if read:
            wait_until(lambda: c._take_in() or len(c.incoming) >= read, "some of the response")
        getattr(c, way)()
    healthy(either)
    assert not peers.warnings(either)


def test_reader_that_vanishes_while_the_script_runs(web):
    """Sending raises no error in the script, which runs to its end."""
    page = peers.page(web.site, "gone.lua", """
        function main()
            Flush()
            pcall(Receive)
            for i = 1, 100 do Send(('x'):rep(10000)) Flush() end
            local file = io.open(Dir() .. '/ended', 'w')
            file:close()
        end""")
    web.hold(page).close()
    wait_until(lambda: os.path.exists(web.site.path("ended")), "the script's end")
    assert not peers.warnings(web)


def test_peer_that_ends_its_side_gets_its_response(either):
    """A half-closed connection is a client's good right."""
    for source, size in ((MEGABYTE, 1048576), (ECHO, 5)):
        with ask(either, source, "half%d.lua" % size, True, b"x" * 10000) as c:
            c.shut()
            response = c.response()
            assert response.ended and len(response.body) == size
            assert c.is_closed(PATIENCE)


# -- those that do not read --

@pytest.mark.parametrize("room", [0, 1], ids=["left", "waited for"])
def test_response_that_nobody_reads(daemon, room):
    """It holds the worker only if MaxPendingOutput has no room for it."""
    d = daemon(WorkerThreads=1, WorkerThreadsMax=1, WriteTimeout=0.5, MaxPendingOutput=room)
    began = time.monotonic()
    stuck = [ask(d, LARGE, "large.lua") for _ in range(2)]
    for _ in stuck:
        healthy(d)
    assert time.monotonic() - began < 20
    assert room == 0 or time.monotonic() - began > 0.9
    wait_until(lambda: d.log().count("did not take the response (WriteTimeout)") == 2,
               "both to be given up")
    for line in d.lines():
        if "did not take" in line.text:
            assert re.search(r', request: "[^"]*", id: \w{32}$', line.request), line
    for c in stuck:
        wait_until(lambda: c._take_in() or c.eof, "the end, behind what there is of it")
        assert 0 < len(c.incoming) < LARGE_SIZE / 2
        c.close()


def test_response_that_is_read_slowly(daemon):
    """WriteTimeout is for no progress at all."""
    d = daemon(WorkerThreads=1, WriteTimeout=2 if not SANITIZER else 3)
    began = time.monotonic()
    with ask(d, LARGE, "large.lua") as c:
        size = 0
        while time.monotonic() - began < 2 * d.options["WriteTimeout"]:
            got = c.sock.recv(40000) if c._wait(1, began + PATIENCE, "more") else b""
            assert got
            c.incoming += got
            time.sleep(0.02)  # how slow it is
        while (got := c.read_record()) and got[0] != fastcgi.END_REQUEST:
            size += len(got[2])
        assert got is not None and size > LARGE_SIZE
    assert not peers.warnings(d)


# -- closing --

@pytest.mark.parametrize("body", [b"", b"x" * 10000, b"x" * 1000000], ids=len)
@pytest.mark.parametrize("source", [ECHO, UNREAD], ids=["read", "unread"])
@pytest.mark.alone
def test_close_follows_the_last_byte_at_once(either, source, body):
    took = []
    for _ in range(3):
        with ask(either, source, "page.lua", body=body) as c:
            assert c.response().ended
            began = time.monotonic()
            assert c.is_closed(PATIENCE)
            took.append(time.monotonic() - began)
    assert sorted(took)[1] < AT_ONCE, took  # the machine may have stood still


@pytest.mark.parametrize("keep", [False, True], ids=["close", "keep"])
@pytest.mark.parametrize("size", [1, 60000, 262144, 1000000])
@pytest.mark.parametrize("whole", [False, True], ids=["part", "whole"])
def test_no_reset_cuts_off_a_response(daemon, keep, size, whole):
    """Over TCP a close with unread input is a reset, which drops what the peer has not yet
    been sent. It reads nothing before the daemon is done, and sends more after."""
    d = daemon(WorkerThreads=1, Listen="127.0.0.1:%d" % free_port())
    body = fastcgi.stream(STDIN, b"x" * size)
    with d.connect() as c:
        c.sock.settimeout(PATIENCE)
        c.sock.sendall(head(params(d, "", "unread.lua", UNREAD), keep) +
                       (body if whole else body[:-9]))
        healthy(d)  # the only worker has done with it
        if not whole:
            c.sock.sendall(body[-9:-8])
        healthy(d)
        c.sock.setblocking(False)
        response = c.response()
        assert response.ended and len(response.body) == 524288, response
    assert not peers.warnings(d)


def test_error_page_for_a_body_too_large_arrives_over_tcp(daemon):
    d = daemon(WorkerThreads=1, Listen="127.0.0.1:%d" % free_port(), MaxPostSize=1000)
    for size in (1001, 100000, 1000000):
        response = d.post(peers.page(d.site, "echo.lua", ECHO), b"x" * size)
        assert (response.status, response.ended) == (413, True)
        response = d.post("echo.lua", [b"x" * size])
        assert (response.status, response.ended) == (413, True)
