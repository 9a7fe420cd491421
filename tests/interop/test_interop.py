"""The same requests through every web server."""

import os
import shutil

import pytest

import servers
import webservers

# cgi-fcgi makes one request a call and speaks no HTTP: it has neither chunks nor
# connections to keep, so what is about those is not asked of it.
HTTP = [web for web in webservers.ALL if web.keeps]
only_http = pytest.mark.parametrize("server", HTTP, ids=lambda web: web.name, indirect=True,
                                    scope="module")

SITE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "site")
UPLOAD = bytes(range(256)) * 1200  # 300 KiB of every byte


@pytest.fixture(scope="module", params=webservers.ALL, ids=lambda web: web.name)
def server(request, module_scratch):
    web = request.param
    site = servers.Site(os.path.join(module_scratch(), "www"))
    for name in os.listdir(SITE):
        shutil.copy(os.path.join(SITE, name), site.root)
    daemon = servers.Daemon(module_scratch(), site, ListenMode="0666", EventKeepAlive=0.5)
    daemon.any_errors = True  # error.lua's
    with webservers.in_front(web, module_scratch(), daemon) as running:
        yield running


def test_created(server):
    """201, type, two cookies"""
    answer = server.request("/created.lua")
    assert (answer.status, answer.body) == (201, b"made"), answer
    assert answer.header("Content-Type").partition(";")[0] == "text/x-own"
    assert answer.all("Set-Cookie") == ["first=1; Path=/", "second=2; Path=/"]


def test_path_info(server):
    """PATH_INFO"""
    answer = server.request("/path.lua/more/of%20it?query")
    expected = b"/more/of%20it" if not server.keeps else b"/more/of it"
    assert (answer.status, answer.body) == (200, expected), answer


def test_post(server):
    """POST of 300 KiB"""
    answer = server.request("/echo.lua", "POST", UPLOAD)
    assert answer.status == 200 and answer.body == UPLOAD, answer


def chunks(data):
    return (data[i:i + 10000] for i in range(0, len(data), 10000))


@only_http
def test_chunked_upload(server, record_property):
    """chunked upload"""
    upload = UPLOAD
    if server.chunked_limit:
        # It answers that itself; nothing comes to the daemon.
        try:
            assert server.request("/echo.lua", "POST", chunks(UPLOAD)).status == 400
        except OSError:
            pass  # closed while we were still sending
        upload = UPLOAD[:server.chunked_limit]
        record_property("table", "to %d KiB" % (server.chunked_limit // 1024))
    answer = server.request("/echo.lua", "POST", chunks(upload))
    assert answer.status == 200 and answer.body == upload, answer


def test_script_error(server):
    """script error is a 500"""
    answer = server.request("/error.lua")
    assert answer.status == 500 and b"secret" not in answer.body, answer
    assert server.request("/hello.lua?again").body == b"hello again"


def test_missing_script(server):
    """no script is a 404"""
    assert server.request("/none.lua").status == 404


def test_head(server):
    """HEAD"""
    connection = server.connect() if server.keeps else None
    answer = server.request("/large.lua", "HEAD", connection=connection)
    assert (answer.status, answer.body) == (200, b""), answer
    assert answer.header("Content-Type").partition(";")[0] == "text/plain"
    assert answer.header("Content-Length") in (None, str(1 << 20))
    assert server.request("/hello.lua?next", connection=connection).body == b"hello next"


def test_large_body(server):
    """body of 1 MiB"""
    answer = server.request("/large.lua")
    assert answer.status == 200 and answer.body == b"0123456789abcdef" * (1 << 16)


@only_http
def test_keep_alive(server):
    """50 requests, kept alive"""
    connection = server.connect()
    socket = connection.sock
    for i in range(50):
        answer = server.request("/hello.lua?%d" % i, connection=connection)
        assert (answer.status, answer.body) == (200, b"hello %d" % i), answer
    assert connection.sock is socket, "closed and opened anew in between"
    connection.close()


def stream(server, path):
    """A connection, and the stream of events that came on it."""
    connection = server.connect()
    connection.request("GET", path)
    response = connection.getresponse()
    assert response.status == 200, response
    assert response.getheader("Content-Type").partition(";")[0] == "text/event-stream"
    assert response.getheader("Cache-Control") == "no-store"
    return connection, response


def next_event(response):
    """Its data; comments are left out."""
    lines = iter(response.readline, b"")
    for line in lines:
        if line.startswith(b"data: "):
            assert next(lines) == b"\n"
            return line[6:-1]
    return None


@only_http
def test_events(server):
    """event stream"""
    connection, response = stream(server, "/events.lua?1")
    for i in range(1, 6):  # each is there before the script makes the next one
        assert next_event(response) == b"%d" % i
        assert server.request("/go.lua?1").body == b"1"
    assert next_event(response) is None
    connection.close()


@only_http
def test_visitor_of_a_silent_stream_goes(server):
    """event stream"""
    seen = len(server.daemon.log())
    connection, response = stream(server, "/silent.lua")
    assert next_event(response) == b"begin"
    response.close()
    connection.close()
    server.daemon.wait_log("silent.lua ends: the client has gone", since=seen)
