"""Bodies of requests that are not read, are no bodies, do not come, or never end. What a
client puts into a body is never taken for a request."""

import time

import pytest

import fastcgi
import peers
from fastcgi import ABORT_REQUEST, LARGEST, STDIN, head, record
from peers import Canary, healthy, params
from servers import PATIENCE, SANITIZER, wait_until

DAEMON = {"WorkerThreads": 2}

UNREAD = "function main() return 'unread ' .. Env.QUERY_STRING end"
PARTLY = "function main() Send('unread ', Env.QUERY_STRING, #Receive(10) == 10 and '' or '!') end"
ECHO = "function main() return Receive() end"
DRAINED = 262144  # bytes of an unread body that a kept connection survives

# What a read may end at: a page, libfcgi's buffer, nginx's buffers.
BOUNDARIES = (4096, 8192, 16384, 32768, 40960)
OFFSETS = sorted({*range(16), *(b + d for b in BOUNDARIES for d in range(-17, 17))})
FEW_OFFSETS = sorted({*range(16), *(b + d for b in (8192, 32768) for d in range(-8, 9))})


def poison(canary, offset, size=0):
    """A body with whole requests for the canary from `offset` on, and before it what a
    parser passes that begins at any multiple of eight bytes."""
    stray = record(STDIN, b"", 9)
    before = stray[:offset % 8] + stray * (offset // 8)
    return (before + canary.request * 3).ljust(size, b"\x01")


def check_unread(response, query):
    assert (response.status, response.text, response.ended) == \
        (200, "unread " + query, True), response


# -- forged records --

@pytest.mark.parametrize("source", [UNREAD, PARTLY], ids=["unread", "partly"])
@pytest.mark.parametrize("size", [LARGEST, 32768, 1000])
def test_forged_requests_in_an_unread_body(web, source, size):
    """All of it there at once, on one kept connection."""
    canary = Canary(web)
    with web.connect() as c:
        for offset in OFFSETS:
            query = str(offset)
            c.send(head(params(web, query, "unread.lua", source), keep=True) +
                   fastcgi.stream(STDIN, poison(canary, offset), 1, size))
            check_unread(c.response(), query)
            peers.serve(c, web, query)
    canary.check()
    assert not peers.warnings(web)


def test_forged_requests_that_come_after_the_response(web):
    """The worst place to be cut: what comes next on the connection is the forged request."""
    canary = Canary(web)
    with web.connect() as c:
        for offset in OFFSETS:
            query, body = str(offset), poison(canary, offset)
            c.send(head(params(web, query, "unread.lua", UNREAD), keep=True) +
                   record(STDIN, body)[:8 + offset])
            check_unread(c.response(), query)
            c.send(body[offset:] + record(STDIN))
            peers.serve(c, web, query)
    canary.check()
    assert not peers.warnings(web)


def test_forged_requests_in_more_body_than_is_drained(web):
    """The connection closes rather than look for its end."""
    canary = Canary(web)
    for offset in range(16):
        with web.connect() as c:
            c.send(head(params(web, "long", "unread.lua", UNREAD), keep=True) +
                   fastcgi.stream(STDIN, poison(canary, offset) * (2 * DRAINED // 300)))
            check_unread(c.response(), "long")
            assert c.is_closed(PATIENCE)
    canary.check()


@pytest.mark.parametrize("buffering", ["on", "off"])
def test_forged_requests_through_nginx(web, nginx, site, buffering):
    """With fastcgi_keep_conn on, as everybody has it who keeps connections."""
    canary = Canary(web)
    front = nginx(web, keepalive=2, location="fastcgi_request_buffering %s;" % buffering)
    site.write("unread.lua", UNREAD)
    peers.page(site)
    for offset in FEW_OFFSETS:
        for size in (0, 100000):
            response = front.post("unread.lua?%d" % offset, poison(canary, offset, size))
            assert (response.status, response.content) == (200, b"unread %d" % offset)
        response = front.get("healthy.lua?%d" % offset)
        assert (response.status, response.content) == (200, b"healthy %d" % offset)
    canary.check()


# -- pipelined requests --

@pytest.mark.parametrize("chunk", [None, 1009, 37])
def test_pipelined_requests(web, chunk):
    """Answered one after the other, however they are cut; unread bodies between them."""
    data = b"".join(
        peers.whole(web, "n%d" % i, request_id=i, body=b"\x01\x01\x00\x01" * (i * 10))
        for i in range(1, 41))
    with web.connect() as c:
        for at in range(0, len(data), chunk or len(data)):
            c.send(data[at:at + (chunk or len(data))])
        for i in range(1, 41):
            peers.check(c.response(i), "n%d" % i)
    assert not peers.warnings(web)


def test_pipelined_behind_a_request_that_does_not_keep(web):
    """The connection closes behind the first."""
    canary = Canary(web)
    with web.connect() as c:
        c.send(peers.whole(web, "last", keep=False) + canary.request)
        peers.check(c.response(), "last")
        assert c.is_closed(PATIENCE)
    canary.check()


# -- aborted --

def test_request_aborted_in_its_body(web):
    page = peers.page(web.site, "slow.lua", "function main() Flush() Receive() return 'x' end")
    for _ in range(5):
        with web.hold(page, keep=True) as c:
            c.body(b"part").send(record(ABORT_REQUEST))
            peers.read_to_end(c)
    assert not peers.warnings(web)


def test_request_aborted_in_a_body_that_is_not_read(web):
    canary = Canary(web)
    with web.connect() as c:
        c.send(head(params(web, "a", "unread.lua", UNREAD), keep=True) + record(STDIN, b"part"))
        check_unread(c.response(), "a")
        c.send(record(ABORT_REQUEST) + canary.request)
        assert c.is_closed(PATIENCE)
    canary.check()


@pytest.mark.parametrize("bad", [record(fastcgi.PARAMS, b"x"), record(fastcgi.DATA, b"x"),
                                 record(STDIN, b"x", version=2), b"\x01" * 8,
                                 fastcgi.begin()],
                         ids=["params", "data", "version", "noise", "begin"])
@pytest.mark.parametrize("source", [UNREAD, ECHO], ids=["unread", "read"])
def test_other_records_in_a_body(web, bad, source):
    canary = Canary(web)
    with web.connect() as c:
        c.send(head(params(web, "", "page%d.lua" % len(source), source), keep=True) +
               record(STDIN, b"part") + bad + canary.request)
        peers.read_to_end(c)
    canary.check()


def send_until_hung_up(connection, data):
    """Returns how long that took, in seconds."""
    began = time.monotonic()
    while not connection.broken:
        assert time.monotonic() < began + PATIENCE, "it is listened to without end"
        connection.send(data)
    return time.monotonic() - began


# -- without end --

def test_bodies_without_end(web):
    """One that no script reads, one that a script reads up to MaxPostSize, and one of
    nothing but records that are none of it, on connections to be kept and not. Each ends,
    and meanwhile nobody waits."""
    data, stray = record(STDIN, b"x" * 32768), record(STDIN, b"", 9) * 1000
    cases = [(source, status, keep) for source, status in ((UNREAD, 200), (ECHO, 413))
             for keep in (False, True)]
    peers_ = []
    for source, status, keep in cases:
        c = web.connect().begin(params(web, "", "endless%d.lua" % status, source), keep)
        peers_.append((c, status, peers.Peer(send_until_hung_up, c, data)))
    strange = web.connect().begin(params(web, "", "endless413.lua", ECHO))
    peers_.append((strange, 500, peers.Peer(send_until_hung_up, strange, stray)))
    worst = 0
    while any(peer.is_alive() for _, _, peer in peers_):
        worst = max(worst, healthy(web))
    for c, status, peer in peers_:
        peer.finish()
        if status != 500:
            response = c.response()
            assert (response.status, response.ended) == (status, True)
        c.close()
    assert worst < (15 if SANITIZER else 10)
    web.any_errors = True


def test_body_that_stops_costs_no_worker_once_the_answer_is_out(daemon):
    """The rest of an unread body is waited for without a worker, and for 2 s."""
    d = daemon(WorkerThreads=1)
    with d.connect() as c:
        began = time.monotonic()
        c.send(head(params(d, "x", "unread.lua", UNREAD), keep=True) +
               record(STDIN, b"x" * 1000)[:500])
        check_unread(c.response(), "x")
        with peers.Idling(d):
            healthy(d)
            assert c.is_closed(PATIENCE)
        assert time.monotonic() - began > 1.9


# -- cut --

def check_refused(response):
    assert (response.status, response.ended) == (400, True), response
    assert "400 Bad Request" in response.text


CUT_READERS = {
    "Receive": "return Receive()",
    "Receive, in parts": "local n = 0 repeat local s = Receive(3) n = n + #s until s == '' return n",
    "con:gets": "return con:gets()",
}


@pytest.mark.parametrize("code", CUT_READERS.values(), ids=CUT_READERS)
@pytest.mark.parametrize("came", [0, 5, 99])
def test_body_shorter_than_its_length_is_refused(solo, code, came):
    """As often as it comes: the state lives on, and so does the connection."""
    page = peers.page(solo.site, "read.lua", "n = 0 function main(env, con) n = n + 1 "
                      "if Env.QUERY_STRING == 'count' then return n end %s end" % code)
    with solo.connect() as c:
        for _ in range(4):
            c.begin(solo.site.params(page, "POST", CONTENT_LENGTH=100), keep=True)
            check_refused(c.body(b"x" * came).end().response())
        c.begin(solo.site.params(page, query="count"), keep=True).end()
        assert c.response().text == "5"
    assert solo.log()[solo.mark:].count("400: the body did not arrive whole") == 4


def test_script_may_answer_to_a_cut_body_itself(web):
    page = peers.page(web.site, "read.lua", "function main() local ok, why = pcall(Receive) "
                      "return tostring(ok) .. why end")
    with web.connect() as c:
        c.begin(web.site.params(page, "POST", CONTENT_LENGTH=100)).body(b"x")
        response = c.end().response()
    assert (response.status, response.text) == (200, "falsethe body did not arrive whole")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_body_that_the_web_server_holds_back_is_none(web, method):
    """As for error_page: the length is that of the request before."""
    page = peers.page(web.site, "read.lua", "function main() RespStatus(200 + #Receive()) end")
    with web.connect() as c:
        c.begin(web.site.params(page, method, CONTENT_LENGTH=100)).end()
        assert c.response().status == 200


def test_body_longer_than_its_length_is_taken(web):
    page = peers.page(web.site, "read.lua", ECHO)
    with web.connect() as c:
        c.begin(web.site.params(page, "POST", CONTENT_LENGTH=3)).body(b"longer").end()
        assert c.response().text == "longer"


# -- slow --

def test_body_slower_than_read_timeout(daemon):
    d = daemon(WorkerThreads=1, ReadTimeout=0.5)
    with d.connect() as c:
        began = time.monotonic()
        c.send(head(params(d, "", "echo.lua", ECHO), keep=True) + record(STDIN, b"part"))
        response = c.response()
        assert time.monotonic() - began > 0.45
        check_refused(response)
    d.wait_log(r"the request's body came too slowly \(ReadTimeout\)", "warning")
    d.wait_log("400: the body did not arrive whole", "info")


def test_body_of_a_byte_a_millisecond(daemon):
    """It comes, if slowly: ReadTimeout is for what does not."""
    d = daemon(WorkerThreads=2, ReadTimeout=1.5 if not SANITIZER else 3)
    body = b"0123456789" * (210 if not SANITIZER else 420)
    with d.connect() as c:
        c.send(head(params(d, "", "echo.lua", ECHO), keep=True))
        began = time.monotonic()
        peers.trickle(c, fastcgi.stream(STDIN, body, size=100))
        assert time.monotonic() - began > d.options["ReadTimeout"]
        assert c.response().body == body
        peers.serve(c, d)
    assert not peers.warnings(d)


def test_body_that_comes_in_single_bytes(web):
    body = bytes(range(256)) * 8
    with web.connect() as c:
        c.send(head(params(web, "", "echo.lua", ECHO), keep=True) +
               fastcgi.stream(STDIN, body, size=1))
        assert c.response().body == body
        peers.serve(c, web)


def test_peer_that_goes_away_in_the_middle_of_its_body(web):
    page = peers.page(web.site, "read.lua", ECHO)
    for size in (1, 8, 100, 8192, 100000):
        with web.open(page) as c:
            c.send(record(STDIN, b"x" * 65000)[:size])
    wait_until(lambda: peers.connections(web) == 0, "the connections to be closed")
    assert not peers.warnings(web)
