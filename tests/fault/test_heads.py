"""Heads of requests that do not come, do not end, or are none. No script runs for them, no
worker waits for them."""

import random
import struct
import time

import pytest

import fastcgi
import peers
from fastcgi import (ABORT_REQUEST, BEGIN_REQUEST, END_REQUEST, PARAMS, STDIN, begin, head,
                     pairs, record)
from peers import Canary, healthy, params, refused
from servers import PATIENCE

DAEMON = {"WorkerThreads": 2}

BAD_VERSION = "a record is not of FastCGI version 1"
BAD_TYPE = "a record of another type is among the parameters"
BAD_BEGIN = "an FCGI_BEGIN_REQUEST record is malformed"
CUT_SHORT = "a parameter is cut short"
BAD_NAME = "the name of a parameter contains '=' or NUL"
BAD_VALUE = "the value of a parameter contains NUL"
TOO_LONG = "the parameters are longer than MaxHeadSize"
TOO_MANY = "too many records of other requests are among the parameters"


def end_of(connection, request_id=1):
    """The protocol status of an answer that is nothing but FCGI_END_REQUEST."""
    kind, number, content = connection.read_record()
    assert (kind, number) == (END_REQUEST, request_id)
    app_status, protocol_status = struct.unpack(">IB3x", content)
    assert app_status == 0
    return protocol_status


# -- half heads --

def test_head_cut_at_every_byte_holds_no_worker_and_is_served_when_the_rest_comes(web):
    request = peers.whole(web, "late", keep=False)
    half = [web.connect().send(request[:cut]) for cut in range(len(request) - 8)]
    for _ in range(3):
        healthy(web)
    for cut, c in enumerate(half):
        assert not c.is_closed() and not c.incoming, "cut at %d" % cut
        c.send(request[cut:])
    for c in half:
        peers.check(c.response(), "late")
        c.close()
    assert not peers.warnings(web)


@pytest.mark.parametrize("way", ["close", "shut"])
def test_head_cut_at_every_byte_and_given_up(web, way):
    canary = Canary(web)
    request = head(canary.params)
    for cut in range(len(request)):
        c = web.connect().send(request[:cut])
        if way == "shut":
            c.shut()
            assert c.is_closed(PATIENCE), "cut at %d" % cut
        c.close()
    healthy(web)
    canary.check()
    assert not peers.warnings(web)


def test_silent_connections(web):
    silent = [web.connect() for _ in range(16)]
    healthy(web)
    for c in silent:
        assert not c.is_closed()
        peers.serve(c, web, keep=False)
        c.close()


# -- records of the wrong kind --

def test_record_of_another_type_among_the_parameters(web):
    canary = Canary(web)
    start = begin() + record(PARAMS, pairs(canary.params))
    for kind in range(256):
        if kind in (BEGIN_REQUEST, ABORT_REQUEST, PARAMS):
            continue
        with web.connect() as c:
            c.send(start + record(kind, b"12345678") + record(PARAMS) + record(STDIN))
            assert c.is_closed(PATIENCE), "type %d" % kind
    refused(web, start + record(STDIN, b"early"), BAD_TYPE)
    canary.check()


def test_record_before_the_request(web):
    """Of a request that is not active: to be ignored (FastCGI 3.3)."""
    with web.connect() as c:
        for kind in range(256):
            if kind != BEGIN_REQUEST:
                c.send(record(kind, b"12345678", 7, padding=kind))
        peers.serve(c, web)
    assert not peers.warnings(web)


@pytest.mark.parametrize("version", [0, 2, 71, 128, 255])
def test_other_version(web, version):
    refused(web, record(BEGIN_REQUEST, b"\0\1" + b"\0" * 6, version=version), BAD_VERSION)
    refused(web, begin() + record(PARAMS, version=version), BAD_VERSION)


def test_http_instead_of_fastcgi(web):
    refused(web, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", BAD_VERSION)


@pytest.mark.parametrize("size", [0, 1, 7, 9, 16, 65535])
def test_begin_of_another_length(web, size):
    refused(web, record(BEGIN_REQUEST, (b"\0\1" + b"\0" * size)[:size]), BAD_BEGIN)


def test_padding_of_every_length(web):
    data = pairs(params(web, "padded"))
    with web.connect() as c:
        for n in range(256):
            c.send(record(BEGIN_REQUEST, b"\0\1\1" + b"\0" * 5, padding=n) +
                   record(PARAMS, data, padding=n) + record(PARAMS, padding=n) +
                   record(STDIN, b"x" * n, padding=n) + record(STDIN, padding=255 - n))
            peers.check(c.response(), "padded")


# -- ids --

@pytest.mark.parametrize("request_id", [1, 2, 255, 256, 65535])
def test_every_id_is_answered_as_such(web, request_id):
    with web.connect() as c:
        for _ in range(3):
            peers.serve(c, web, "id", request_id=request_id)


def test_id_0_begins_nothing(web):
    refused(web, begin(request_id=0), BAD_BEGIN)


def test_request_begun_twice(web):
    refused(web, begin() + begin(), BAD_BEGIN)


def test_parameters_of_another_id_are_not_this_requests(web):
    canary = Canary(web)
    with web.connect() as c:
        c.send(begin(flags=1) + fastcgi.stream(PARAMS, pairs(canary.params), 2) +
               fastcgi.stream(PARAMS, pairs(params(web, "own"))) + record(STDIN))
        peers.check(c.response(), "own")
    canary.check()


def test_second_request_at_once(web):
    """FCGI_MPXS_CONNS is 0: it is told so, and the first goes on."""
    data = pairs(params(web, "first"))
    with web.connect() as c:
        c.send(begin(flags=1) + begin(request_id=2) + fastcgi.stream(PARAMS, data, 2))
        assert end_of(c, 2) == fastcgi.CANT_MPX_CONN
        c.send(fastcgi.stream(PARAMS, data) + record(STDIN))
        peers.check(c.response(), "first")


def test_too_many_other_records(web):
    stray = record(STDIN, b"", 9)
    with web.connect() as c:
        c.send(begin(flags=1) + stray * 64 + head(params(web, "q"))[16:] + record(STDIN))
        peers.check(c.response(), "q")
    refused(web, begin() + stray * 65, TOO_MANY)


# -- roles --

@pytest.mark.parametrize("role", [0, 2, 3, 4, 256, 65535])
def test_other_role(web, role):
    canary = Canary(web)
    with web.connect() as c:
        c.send(head(canary.params, keep=True, role=role) + record(STDIN))
        assert end_of(c) == fastcgi.UNKNOWN_ROLE
        peers.serve(c, web, "next")
    with web.connect() as c:
        c.send(head(canary.params, role=role) + record(STDIN))
        assert end_of(c) == fastcgi.UNKNOWN_ROLE
        assert c.is_closed(PATIENCE)
    canary.check()


# -- lengths --

LENGTHS = {
    "name longer than what comes": (b"\x05\x00abc", CUT_SHORT),
    "value longer than what comes": (b"\x01\x05abcd", CUT_SHORT),
    "first byte of a pair": (b"\x05", CUT_SHORT),
    "half of a long name's length": (b"\x80\x00", CUT_SHORT),
    "half of a long value's length": (b"\x01\x80\x00\x00", CUT_SHORT),
    "name without its value": (b"\x03\x01abc", CUT_SHORT),
    "name near 2^31": (b"\xff\xff\xff\xff\x00", TOO_LONG),
    "value near 2^31": (b"\x00\xff\xff\xff\xff", TOO_LONG),
    "both near 2^31": (b"\xff" * 8, TOO_LONG),
    "a sum that wraps at 2^31": (b"\xc0\x00\x00\x00\xc0\x00\x00\x00", TOO_LONG),
    "name over the limit": (b"\x80\x01\x00\x01\x00", TOO_LONG),
    "value over the limit": (b"\x00\x80\x01\x00\x01", TOO_LONG),
}


@pytest.mark.parametrize("case", LENGTHS)
def test_length_beyond_the_parameters(web, case):
    data, reason = LENGTHS[case]
    canary = Canary(web)
    good = pairs(canary.params)
    rest = record(PARAMS) + record(STDIN)
    refused(web, begin() + record(PARAMS, good + data) + rest, reason)
    refused(web, begin() + record(PARAMS, good) + record(PARAMS, data) + rest, reason)
    single = b"".join(record(PARAMS, data[i:i + 1]) for i in range(len(data)))
    refused(web, begin() + record(PARAMS, good) + single + rest, reason)
    canary.check()


def test_parameters_cut_short_at_every_byte(web):
    """The empty FCGI_PARAMS comes too early. At the boundary of a pair there is no telling,
    but never is half a parameter seen."""
    canary = Canary(web)
    data = pairs({"QUERY_STRING": "", "A" * 200: "b" * 300, **canary.params})
    data = data[:-1]
    boundaries = {0, len(pairs({"QUERY_STRING": ""})),
                  len(pairs({"QUERY_STRING": "", "A" * 200: "b" * 300}))}
    for cut in set(range(len(data))) - boundaries:
        with web.connect() as c:
            c.send(begin() + record(PARAMS, data[:cut]) + record(PARAMS) + record(STDIN))
            assert c.is_closed(PATIENCE), "cut at %d" % cut
    refused(web, begin() + record(PARAMS, data) + record(PARAMS), CUT_SHORT)
    canary.check()


def test_pairs_cut_anywhere_between_records_are_whole(web):
    data = pairs({"A" * 200: "b" * 300, **params(web, "parts")})
    with web.connect() as c:
        for cut in range(1, len(data)):
            c.send(begin(flags=1) + record(PARAMS, data[:cut]) + record(PARAMS, data[cut:]) +
                   record(PARAMS) + record(STDIN))
            peers.check(c.response(), "parts")
        c.send(begin(flags=1) + fastcgi.stream(PARAMS, data, size=1) + record(STDIN))
        peers.check(c.response(), "parts")


# -- MaxHeadSize --

def sized_head(web, size, parts):
    """A head of so many bytes, its parameters in so many records."""
    few = pairs(params(web, "full"))
    fill = size - 16 - 8 * (parts + 1) - len(few) - 5 - len("FILL")
    data = few + pairs({"FILL": "x" * fill})
    step = -(-len(data) // parts)
    made = (begin(flags=1) +
            b"".join(record(PARAMS, data[i:i + step]) for i in range(0, len(data), step)) +
            record(PARAMS))
    assert len(made) == size
    return made


@pytest.mark.parametrize("parts", [1, 2, 50])
def test_head_as_large_as_allowed_and_one_larger(web, parts):
    with web.connect() as c:
        for _ in range(3):
            c.send(sized_head(web, 65536, parts) + record(STDIN))
            peers.check(c.response(), "full")
    refused(web, sized_head(web, 65537, parts) + record(STDIN), TOO_LONG)


def test_endless_parameters(web):
    data = record(PARAMS, pairs({"N": "x" * 8000}))
    with web.connect() as c:
        c.send(begin())
        for _ in range(1000):
            c.send(data)
            if c.broken:
                break
        assert c.broken and c.is_closed(PATIENCE)
    refused(web, begin() + data * 9, TOO_LONG)


# -- names and values --

NAMES = [b"=", b"A=B", b"=A", b"A=", b"\0", b"A\0B", b"A\0",
         *(b"A" * i + b"=" + b"A" * (20 - i) for i in (0, 6, 7, 8, 9, 15, 16, 19, 20)),
         b"A" * 200 + b"=", b"A" * 200 + b"\0"]


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_name_with_an_equals_sign_or_nul(web, name):
    """libfcgi would make NAME=VALUE of it, and the script see another name."""
    canary = Canary(web)
    data = pairs([(name, b"x"), *canary.params.items()])
    refused(web, begin() + fastcgi.stream(PARAMS, data) + record(STDIN), BAD_NAME)
    refused(web, begin() + fastcgi.stream(PARAMS, data, size=3) + record(STDIN), BAD_NAME)
    canary.check()


@pytest.mark.parametrize("value", [b"\0", b"a\0b", b"\0" * 300, b"a" * 299 + b"\0"],
                         ids=["only", "middle", "long", "end"])
def test_value_with_nul(web, value):
    canary = Canary(web)
    data = pairs([*canary.params.items(), ("X", value)])
    refused(web, begin() + fastcgi.stream(PARAMS, data) + record(STDIN), BAD_VALUE)
    canary.check()


def test_empty_name(web):
    data = pairs([("", "value"), ("", ""), *params(web, "named").items()])
    with web.connect() as c:
        c.send(begin(flags=1) + fastcgi.stream(PARAMS, data) + record(STDIN))
        peers.check(c.response(), "named")


# -- given up --

def test_request_aborted_in_its_head(web):
    canary = Canary(web)
    parts = [begin(flags=1), record(PARAMS, pairs(canary.params))]
    with web.connect() as c:
        for sent in (parts[:1], parts, parts * 1):
            c.send(b"".join(sent) + record(ABORT_REQUEST))
            assert end_of(c) == fastcgi.REQUEST_COMPLETE
            peers.serve(c, web, "next")
    with web.connect() as c:
        c.send(begin() + parts[1] + record(ABORT_REQUEST))
        assert end_of(c) == fastcgi.REQUEST_COMPLETE
        assert c.is_closed(PATIENCE)
    canary.check()
    assert not peers.warnings(web)


# -- the log --

@pytest.mark.parametrize("data, reason", [
    (b"GET", BAD_VERSION),
    (begin() + record(STDIN), BAD_TYPE),
    (begin(request_id=0), BAD_BEGIN),
    (begin() + record(PARAMS, b"\1") + record(PARAMS), CUT_SHORT),
    (begin() + record(PARAMS, b"\1\0="), BAD_NAME),
    (begin() + record(PARAMS, b"\0\1\0"), BAD_VALUE),
    (begin() + record(PARAMS, b"\xff" * 8), TOO_LONG),
    (begin() + record(STDIN, b"", 9) * 65, TOO_MANY),
], ids=["version", "type", "begin", "short", "name", "value", "long", "many"])
def test_log_says_why(web, data, reason):
    refused(web, data, reason, again=True)


def test_log_is_not_flooded(web):
    """A few lines a second, however many peers are refused; the test before may have used
    up those of the first second."""
    began, count = time.monotonic(), 0
    while count < 300 or time.monotonic() < began + 1.5:
        count += 1
        with web.connect() as c:
            c.send(b"GET")
            assert c.is_closed(PATIENCE)
    seconds = int(time.monotonic() - began) + 2
    assert 1 <= len(peers.warnings(web)) <= seconds * peers.FAULTS_PER_SECOND


# -- anything else --

@pytest.mark.parametrize("seed", range(4))
def test_random_damage(web, seed):
    """Requests with some bytes changed, and then the end of the stream: each connection is
    let go of, and what comes from the daemon is whole records."""
    web.any_errors = True  # a request may well have lost its SCRIPT_FILENAME
    rnd = random.Random(seed)
    request = bytearray(peers.whole(web, "random", body=b"body" * 10))
    for _ in range(75):
        data = bytearray(request)
        for _ in range(rnd.randint(1, 4)):
            data[rnd.randrange(len(data))] = rnd.randrange(256)
        with web.connect() as c:
            c.send(data)
            try:
                c.shut()
            except OSError:
                c.broken = True  # it was hung up on already
            peers.read_to_end(c)


def test_random_bytes(web):
    rnd = random.Random(1)
    for _ in range(100):
        with web.connect() as c:
            c.send(b"\x01" * rnd.randint(0, 1) + rnd.randbytes(rnd.randint(1, 3000)))
            try:
                c.shut()
            except OSError:
                c.broken = True
            peers.read_to_end(c)
