"""A small FastCGI 1.0 client: what a web server is to the daemon, and what a broken or
hostile one is, for every byte on the wire can be chosen.

    with Connection(address) as c:
        c.begin({"SCRIPT_FILENAME": "/srv/www/hello.lua"})
        c.body(b"streamed"), c.end()
        print(c.response().body)

An address is the path of a unix socket, or a (host, port) pair. Every wait has a deadline
and ends in TimeoutError.
"""

from __future__ import annotations

import select
import socket
import struct
import time

(BEGIN_REQUEST, ABORT_REQUEST, END_REQUEST, PARAMS, STDIN, STDOUT, STDERR, DATA,
 GET_VALUES, GET_VALUES_RESULT, UNKNOWN_TYPE) = range(1, 12)
RESPONDER, AUTHORIZER, FILTER = 1, 2, 3
KEEP_CONN = 1
REQUEST_COMPLETE, CANT_MPX_CONN, OVERLOADED, UNKNOWN_ROLE = range(4)
LARGEST = 65535  # bytes in one record

HEADER = struct.Struct(">BBHHBx")


def as_bytes(text):
    """Text as it goes over the wire; bytes stay bytes."""
    return text if isinstance(text, bytes) else str(text).encode()


# What comes before the close when a response is not whole, of request 1.
CUT = HEADER.pack(0, 0, 1, 0, 0)


def record(kind, content=b"", request_id=1, padding=0, version=1):
    """One record, whole."""
    return (HEADER.pack(version, kind, request_id, len(content), padding) +
            content + b"\0" * padding)


def stream(kind, data, request_id=1, size=32768):
    """Data as records of at most `size` bytes, and the empty one that ends it."""
    parts = [record(kind, data[i:i + size], request_id) for i in range(0, len(data), size)]
    return b"".join(parts) + record(kind, b"", request_id)


def length(n):
    """The length of a name or value: one byte up to 127, else four."""
    return bytes([n]) if n < 128 else struct.pack(">I", n | 0x80000000)


def pairs(params):
    """Name-value pairs, from a dict or a list of pairs."""
    out = []
    for name, value in (params.items() if isinstance(params, dict) else params):
        name, value = as_bytes(name), as_bytes(value)
        out += [length(len(name)), length(len(value)), name, value]
    return b"".join(out)


def begin(role=RESPONDER, flags=0, request_id=1):
    """The record that opens a request."""
    return record(BEGIN_REQUEST, struct.pack(">HB5x", role, flags), request_id)


def head(params, keep=False, request_id=1, role=RESPONDER, size=LARGEST):
    """All of a request before its body."""
    return (begin(role, KEEP_CONN if keep else 0, request_id) +
            stream(PARAMS, pairs(params), request_id, size))


class Response:
    """What a request was answered with.

    status, reason: of the Status header (200 and "" without one). headers: (name, value)
    pairs in their order. body, stderr, raw: bytes. ended: FCGI_END_REQUEST came, with
    app_status and protocol_status. closed: the connection ended before that. cut: the
    record that tells of a response that is not whole came before the close.
    """

    def __init__(self, raw=b"", stderr=b"", end=None, cut=False):
        self.raw, self.stderr, self.cut = raw, stderr, cut
        self.ended, self.closed = end is not None, end is None
        self.app_status, self.protocol_status = end or (None, None)
        top, found, self.body = raw.partition(b"\r\n\r\n")
        self.complete_head = bool(found)
        self.headers = [self._split(line) for line in top.split(b"\r\n") if found and line]
        code, _, self.reason = (self.header("Status") or "200 ").partition(" ")
        self.status = int(code) if code.isdigit() else code

    @staticmethod
    def _split(line):
        name, _, value = line.decode("latin-1").partition(":")
        return name, value.strip(" ")

    def all(self, name):
        """Every value of a header, in order."""
        return [v for n, v in self.headers if n.lower() == name.lower()]

    def header(self, name):
        """The first value of a header, or None."""
        return (self.all(name) or [None])[0]

    @property
    def text(self):
        return self.body.decode("utf-8", "surrogateescape")

    def __repr__(self):
        return "<Response %s %s %r%s>" % (
            self.status, self.headers, self.body[:300],
            "" if self.ended else ", cut off")


class Connection:
    """A connection to a FastCGI application. Sending also takes in what arrives meanwhile,
    so two sides that both have much to say never wait for each other."""

    def __init__(self, address, timeout=10):
        self.timeout = timeout
        self.incoming = bytearray()
        self.eof = False     # the peer has closed its side
        self.broken = False  # the peer refused what we sent
        self.cut = False     # the peer said that the response is not whole
        family = socket.AF_UNIX if isinstance(address, str) else (
            socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        self.sock.settimeout(timeout)
        self.sock.connect(address)
        self.sock.setblocking(False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def reset(self):
        """Closes so that a TCP peer gets a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def shut(self):
        """Ends our side of the stream; theirs stays open."""
        self.sock.shutdown(socket.SHUT_WR)

    # -- bytes --

    def _wait(self, events, deadline, what):
        poller = select.poll()
        poller.register(self.sock, events)
        ready = poller.poll(max(0.0, deadline - time.monotonic()) * 1000)
        if not ready:
            raise TimeoutError("no %s within its time, after %d bytes" %
                               (what, len(self.incoming)))
        return ready[0][1]

    def _take_in(self):
        try:
            data = self.sock.recv(262144)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        self.incoming += data
        self.eof = self.eof or not data

    def send(self, data, timeout=None):
        """All the bytes. When the peer does not want them any more, `broken` is set."""
        view = memoryview(data)
        deadline = time.monotonic() + (timeout or self.timeout)
        while view and not self.broken:
            listen = 0 if self.eof else select.POLLIN
            events = self._wait(select.POLLOUT | listen, deadline, "room to send")
            if events & select.POLLIN:
                self._take_in()
            try:
                view = view[self.sock.send(view):]
            except BlockingIOError:
                pass
            except ConnectionError:
                self.broken = True
        return self

    def read_record(self, timeout=None):
        """(kind, request id, content) of the next record; None at the end of the stream."""
        deadline = time.monotonic() + (timeout or self.timeout)
        while True:
            if len(self.incoming) >= HEADER.size:
                version, kind, request_id, size, padding = HEADER.unpack_from(self.incoming)
                if self.incoming[:HEADER.size] == CUT:
                    assert not self.cut
                    self.cut = True
                    del self.incoming[:HEADER.size]
                    continue
                assert version == 1 and not self.cut, "a record of version %d" % version
                end = HEADER.size + size + padding
                if len(self.incoming) >= end:
                    content = bytes(self.incoming[HEADER.size:HEADER.size + size])
                    del self.incoming[:end]
                    return kind, request_id, content
            if self.eof:
                assert not self.incoming, "a record cut short: %r" % bytes(self.incoming[:99])
                return None
            self._wait(select.POLLIN, deadline, "record")
            self._take_in()

    def is_closed(self, timeout=0.0):
        """Whether the peer closes within `timeout` seconds, sending nothing more."""
        deadline = time.monotonic() + timeout
        while not self.eof:
            try:
                self._wait(select.POLLIN, deadline, "end")
            except TimeoutError:
                return False
            self._take_in()
            assert not self.incoming, "bytes instead of an end: %r" % bytes(self.incoming)
        return True

    # -- requests --

    def begin(self, params, keep=False, request_id=1):
        """The head of a request: everything before its body."""
        return self.send(head(params, keep, request_id))

    def body(self, data, request_id=1, size=32768):
        """A part of the body, in records of at most `size` bytes."""
        data = as_bytes(data)
        for i in range(0, len(data), size):
            self.send(record(STDIN, data[i:i + size], request_id))
        return self

    def end(self, request_id=1):
        """The end of the body."""
        return self.send(record(STDIN, b"", request_id))

    def read_until(self, marker, timeout=None):
        """Standard output up to the record that completes `marker`."""
        raw, marker = b"", as_bytes(marker)
        while marker not in raw:
            got = self.read_record(timeout)
            assert got is not None and got[0] == STDOUT, "%r instead of %r" % (got, marker)
            raw += got[2]
        return raw

    def response(self, request_id=1, timeout=None, before=b""):
        """The response, to its end or the connection's. `before`: what was already read."""
        out, err, end = [before], [], None
        while end is None:
            got = self.read_record(timeout)
            if got is None:
                break
            kind, number, content = got
            assert number == request_id, "a record for request %d" % number
            if kind == STDOUT:
                out.append(content)
            elif kind == STDERR:
                err.append(content)
            else:
                assert kind == END_REQUEST, "a record of type %d" % kind
                end = struct.unpack(">IB3x", content)
        return Response(b"".join(out), b"".join(err), end, self.cut)


def request(address, params, body=b"", keep=False, timeout=10):
    """A whole request on a connection of its own. `body`: bytes, or an iterable of the
    parts that each go into a record of their own."""
    with Connection(address, timeout) as c:
        if isinstance(body, (bytes, str)):
            c.send(head(params, keep) + stream(STDIN, as_bytes(body)))
        else:
            c.begin(params, keep)
            for part in body:
                c.body(part)
            c.end()
        return c.response()
