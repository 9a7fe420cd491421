"""Management records (FastCGI 4): answered wherever they come, without a worker."""

import struct

import pytest

import fastcgi
import peers
from fastcgi import (BEGIN_REQUEST, GET_VALUES, GET_VALUES_RESULT, PARAMS, STDIN, UNKNOWN_TYPE,
                     begin, head, pairs, record)
from peers import ask, healthy, params, refused, values
from servers import PATIENCE

DAEMON = {"WorkerThreads": 2, "MaxConnections": 100}
VALUES = {"FCGI_MAX_CONNS": "100", "FCGI_MAX_REQS": "2", "FCGI_MPXS_CONNS": "0"}


# -- FCGI_GET_VALUES --

@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("times", [1, 4, 64, 1000])
def test_value_asked_for_repeatedly(web, name, times):
    """Four of FCGI_MAX_CONNS in one record overflow a buffer of libfcgi's."""
    with web.connect() as c:
        c.send(ask(*[name] * times))
        assert values(c) == {name: VALUES[name]}
        for _ in range(min(times, 64)):
            c.send(ask(name))
            assert values(c) == {name: VALUES[name]}
        peers.serve(c, web)


def test_all_values_at_once_and_unknown_ones(web):
    with web.connect() as c:
        c.send(ask(*VALUES))
        assert values(c) == VALUES
        c.send(ask(*VALUES, "OTHER", "", "FCGI_MAX_CONN", "FCGI_MAX_CONNSS", "x" * 300, *VALUES))
        assert values(c) == VALUES
        c.send(ask("fcgi_max_conns"))
        assert values(c) == {}
        c.send(ask())
        assert values(c) == {}
        c.send(record(GET_VALUES, pairs([("FCGI_MAX_REQS", "with a value" * 20)]), 0))
        assert values(c) == {"FCGI_MAX_REQS": "2"}


def test_largest_record_of_values(web):
    name = pairs([("FCGI_MAX_CONNS", "")])
    data = name * (65535 // len(name))
    data += pairs([("", "x" * (65535 - len(data) - 2))]) if len(data) < 65534 else b""
    with web.connect() as c:
        c.send(record(GET_VALUES, data, 0, padding=255))
        assert values(c) == {"FCGI_MAX_CONNS": "100"}


def test_values_before_and_between_requests(web):
    with web.connect() as c:
        for _ in range(10):
            c.send(ask(*VALUES) + peers.whole(web, "after"))
            assert values(c) == VALUES
            peers.check(c.response(), "after")


def test_values_within_a_head(web):
    data = pairs(params(web, "around"))
    with web.connect() as c:
        c.send(ask(*VALUES) + begin(flags=1) + ask(*VALUES))
        assert [values(c), values(c)] == [VALUES] * 2
        c.send(record(PARAMS, data[:10]) + ask(*VALUES) + record(PARAMS, data[10:]))
        assert values(c) == VALUES
        c.send(ask(*VALUES) + record(PARAMS) + record(STDIN))
        assert values(c) == VALUES
        peers.check(c.response(), "around")


def test_values_within_a_body_that_is_read(web):
    echo = peers.page(web.site, "echo.lua", "function main() Flush() return Receive() end")
    with web.open(echo, keep=True) as c:
        for part in (b"one ", b"two ", b"three"):
            c.send(record(STDIN, part) + ask(*VALUES))
            while True:  # the response has begun meanwhile
                kind, _, content = c.read_record()
                if kind == GET_VALUES_RESULT:
                    break
                assert kind == fastcgi.STDOUT
            assert dict(peers.unpair(content)) == VALUES
        c.end()
        assert c.response(before=b"\r\n\r\n").body.endswith(b"one two three")
        peers.serve(c, web, "next")


def test_values_within_a_body_that_is_not_read(web):
    with web.connect() as c:
        c.send(head(params(web, "unread"), keep=True) + record(STDIN, b"x" * 10000))
        peers.check(c.response(), "unread")
        c.send(ask(*VALUES))
        assert values(c) == VALUES
        c.send(record(STDIN, b"x" * 10000) + ask("FCGI_MAX_REQS") + record(STDIN))
        assert values(c) == {"FCGI_MAX_REQS": "2"}
        peers.serve(c, web, "next")


@pytest.mark.parametrize("data", [
    b"\x05", b"\x0e\x00FCGI_MAX_CONN", b"\xff" * 8, b"\x80\x00\x00", b"\x00\x01",
    pairs([("FCGI_MAX_CONNS", "")]) + b"\x01"], ids=repr)
def test_malformed_values(web, data):
    refused(web, record(GET_VALUES, data, 0), "a parameter is cut short")
    refused(web, begin() + record(GET_VALUES, data, 0), "a parameter is cut short")


def test_questions_without_end_whose_answers_nobody_reads(web):
    """They are answered as long as the peer takes the answers, and no longer."""
    c = web.connect()
    c.sock.settimeout(PATIENCE)
    data = ask(*VALUES) * 1000
    with pytest.raises(ConnectionError):
        for _ in range(1000):
            c.sock.sendall(data)
    healthy(web)
    c.close()


# -- others --

def test_unknown_management_records(web):
    with web.connect() as c:
        for kind in range(256):
            if kind in (BEGIN_REQUEST, GET_VALUES, GET_VALUES_RESULT, UNKNOWN_TYPE):
                continue
            c.send(record(kind, b"content", 0, padding=kind))
            answer = c.read_record()
            assert answer == (UNKNOWN_TYPE, 0, struct.pack(">B7x", kind)), kind
        peers.serve(c, web)
    assert not peers.warnings(web)


def test_answers_are_not_answered(web):
    """Two that answer each other's answers would never end."""
    with web.connect() as c:
        for kind in (GET_VALUES_RESULT, UNKNOWN_TYPE):
            c.send(record(kind, pairs(VALUES), 0) + record(kind, b"", 0))
        peers.serve(c, web)
        c.send(head(params(web, "body"), keep=True) + record(STDIN, b"x") +
               record(UNKNOWN_TYPE, b"\x01" * 8, 0) + record(STDIN))
        peers.check(c.response(), "body")


def test_unknown_management_record_in_head_and_body(web):
    unknown = record(77, b"12345678", 0)
    answer = (UNKNOWN_TYPE, 0, struct.pack(">B7x", 77))
    with web.connect() as c:
        c.send(begin(flags=1) + unknown)
        assert c.read_record() == answer
        c.send(fastcgi.stream(PARAMS, pairs(params(web, "mixed"))))
        peers.check(c.response(), "mixed")
        c.send(unknown + record(STDIN))
        assert c.read_record() == answer
        peers.serve(c, web, "next")
