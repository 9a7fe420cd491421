"""A raw FastCGI client for what wrk and nginx cannot do: half a request, many scripts, an
exact number of requests over one kept connection."""

import socket
import struct

BEGIN_REQUEST, END_REQUEST, PARAMS, STDIN, STDOUT, STDERR = 1, 3, 4, 5, 6, 7


def record(kind, content=b""):
    return struct.pack("!BBHHBx", 1, kind, 1, len(content), 0) + content


def pair(name, value):
    name, value = name.encode(), value.encode()
    lengths = b"".join(bytes([n]) if n < 128 else struct.pack("!I", n | 1 << 31)
                       for n in (len(name), len(value)))
    return lengths + name + value


def parameters(site, script):
    """What nginx's fastcgi_params and wrk's request amount to."""
    return {
        "SCRIPT_FILENAME": f"{site}{script}", "QUERY_STRING": "", "REQUEST_METHOD": "GET",
        "CONTENT_TYPE": "", "CONTENT_LENGTH": "", "SCRIPT_NAME": script,
        "REQUEST_URI": script, "DOCUMENT_URI": script, "DOCUMENT_ROOT": site,
        "SERVER_PROTOCOL": "HTTP/1.1", "REQUEST_SCHEME": "http",
        "GATEWAY_INTERFACE": "CGI/1.1", "SERVER_SOFTWARE": "nginx/1.22.1",
        "REMOTE_ADDR": "127.0.0.1", "REMOTE_PORT": "40000", "REMOTE_USER": "",
        "SERVER_ADDR": "127.0.0.1", "SERVER_PORT": "8080", "SERVER_NAME": "localhost",
        "REDIRECT_STATUS": "200", "HTTP_HOST": "127.0.0.1",
    }


def request(params, keep):
    content = b"".join(pair(name, value) for name, value in params.items())
    return (record(BEGIN_REQUEST, struct.pack("!HB5x", 1, 1 if keep else 0))
            + record(PARAMS, content) + record(PARAMS) + record(STDIN))


def connect(path, timeout=10):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(timeout)
    s.connect(path)
    return s


class Reader:
    """Reads responses from one connection, each up to its FCGI_END_REQUEST."""

    def __init__(self, sock):
        self.sock, self.data = sock, b""

    def _take(self, size):
        while len(self.data) < size:
            more = self.sock.recv(65536)
            if not more:
                raise ConnectionError("closed before the end of the response")
            self.data += more
        taken, self.data = self.data[:size], self.data[size:]
        return taken

    def response(self):
        out = b""
        while True:
            _, kind, _, length, padding = struct.unpack("!BBHHBx", self._take(8))
            content = self._take(length + padding)[:length]
            if kind == END_REQUEST:
                return out
            if kind == STDOUT:
                out += content


def ask(path, message):
    """One request on a connection of its own; the response, head and body."""
    with connect(path) as s:
        s.sendall(message)
        return Reader(s).response()


def ask_often(path, message, count):
    """`count` requests, one after the other, on one kept connection."""
    with connect(path, 60) as s:
        reader = Reader(s)
        for _ in range(count):
            s.sendall(message)
            response = reader.response()
    return response
