"""Behind a real nginx, with connections to the daemon opened anew and kept."""

import http.client
import threading

import pytest

from servers import free_port

DAEMON = {"WorkerThreads": 4}


@pytest.fixture(params=[0, 8], ids=["plain", "keepalive"])
def front(request, web, nginx):
    """nginx before the module's daemon; its site is this test's."""
    return nginx(web, keepalive=request.param)


def write(site, source):
    site.write("page.lua", source)
    return "page.lua"


@pytest.mark.parametrize("style", [
    "function handler(env, con) return 'hello ' .. env.QUERY_STRING end",
    "function main(env, con) con:puts('hello ' .. env.QUERY_STRING) end",
    "function main() Send('hello ', Env.QUERY_STRING) end",
], ids=["2009", "v1", "v2"])
def test_page(front, site, style):
    response = front.get(write(site, style) + "?world")
    assert (response.status, response.content) == (200, b"hello world")
    assert response.headers["Content-Length"] == "11"
    assert response.headers["Content-Type"] == "text/html"
    assert response.headers["X-Powered-By"] == "luafcgid2"


def test_environment(front, site):
    page = write(site, "function main() for k, v in pairs(Env) do Send(k, '=', v, '\\n') end end")
    text = front.get(page + "?a=1&b=2", X_Test="value", Cookie="c=d").content.decode()
    env = dict(line.split("=", 1) for line in text.splitlines())
    expected = {
        "SCRIPT_FILENAME": site.path(page), "DOCUMENT_ROOT": site.root, "SCRIPT_NAME": "/page.lua",
        "QUERY_STRING": "a=1&b=2", "REQUEST_METHOD": "GET", "REQUEST_URI": "/page.lua?a=1&b=2",
        "SERVER_NAME": "localhost", "SERVER_PROTOCOL": "HTTP/1.1", "CONTENT_LENGTH": "",
        "HTTP_X_TEST": "value", "HTTP_COOKIE": "c=d", "LUAFCGID_VERSION": "2",
        "GATEWAY_INTERFACE": "CGI/1.1"}
    assert {k: env.get(k) for k in expected} == expected


def test_status_and_type(front, site):
    page = write(site, "function main() RespStatus('201 Created') RespContentType('a/b; c=d') end")
    response = front.get(page)
    assert (response.status, response.reason) == (201, "Created")
    assert response.headers.get_all("Content-Type") == ["a/b; c=d"]


def test_two_cookies(front, site):
    page = write(site, "function main() Header('Set-Cookie', 'a=1') "
                       "Header('Set-Cookie', 'b=2; Path=/') end")
    assert front.get(page).headers.get_all("Set-Cookie") == ["a=1", "b=2; Path=/"]


def test_redirect(front, site):
    page = write(site, "function main() RespStatus(303) Header('Location', '/elsewhere') end")
    response = front.get(page)
    assert (response.status, response.headers["Location"]) == (303, "/elsewhere")


@pytest.mark.parametrize("size", [0, 1, 1000, 300000])
def test_post(front, site, size):
    page = write(site, "function main() local body = Receive() Send(#body, ' ', "
                       "Env.CONTENT_LENGTH, ' ', body:sub(-3)) end")
    body = (b"abcdefghij" * 30000)[:size]
    assert front.post(page, body).content.split() == \
        ("%d %d %s" % (size, size, body[-3:].decode())).encode().split()


def test_chunked_upload(front, site):
    page = write(site, "function main() Send(#Receive()) end")
    assert front.post(page, iter([b"x" * 1000] * 100)).content == b"100000"


def test_chunked_upload_unbuffered(web, nginx, site):
    """nginx then sends the body as it comes, and no CONTENT_LENGTH."""
    front = nginx(web, keepalive=8, location="fastcgi_request_buffering off;")
    page = write(site, "function main() Send(#Receive(), '|', Env.CONTENT_LENGTH or '') end")
    for _ in range(5):
        assert front.post(page, iter([b"x" * 10000] * 50)).content == b"500000|"


def test_head(front, site):
    page = write(site, "function main() Send('12345') end")
    response = front.request(page, "HEAD")
    assert (response.status, response.content) == (200, b"")
    assert response.headers["Content-Length"] == "5"
    assert front.get(page).content == b"12345"


@pytest.mark.parametrize("status", [204, 304])
def test_no_body(front, site, status):
    page = write(site, "function main() RespStatus(%d) Send('body') end" % status)
    with front.connect() as connection:
        for _ in range(3):
            response = front.request(page, connection=connection)
            assert (response.status, response.content) == (status, b"")


def test_large_body(front, site):
    page = write(site, "function main() for i = 1, 1000 do Send(('x'):rep(1024)) end end")
    response = front.get(page)
    assert response.content == b"x" * 1024000
    assert response.headers["Content-Length"] == "1024000"


def test_streaming(web, nginx, site):
    front = nginx(web, location="fastcgi_buffering off; fastcgi_request_buffering off;")
    page = write(site, "function main() Send('one') Flush() Receive(1) Send('two') Flush() "
                       "Receive() Send('three') end")
    connection = front.connect()
    connection.putrequest("POST", "/" + page)
    connection.putheader("Content-Length", "2")
    connection.endheaders()
    connection.sock.sendall(b"x")  # nginx may hold back a request of which nothing has come
    response = connection.getresponse()
    got = response.read(6)
    assert got == b"onetwo"
    connection.sock.sendall(b"y")
    assert response.read() == b"three"
    connection.close()


def test_missing_script(front, site, web):
    response = front.get("nothing.lua")
    assert response.status == 404 and b"404" in response.content
    web.any_errors = True


def test_script_error(front, site, web):
    response = front.get(write(site, "function main() error('private') end"))
    assert response.status == 500 and b"private" not in response.content
    assert response.headers.get_all("Content-Type") == ["text/html"] or \
        response.headers["Content-Type"].startswith("text/html;")
    web.expect_error("private")


def test_error_after_a_flush_cuts_the_response_off(front, site, web):
    """The client can tell that something is missing."""
    front.any_errors = True
    page = write(site, "function main() Send('part') Flush() error('late') end")
    connection = front.connect()
    connection.request("GET", "/" + page)
    try:
        assert connection.getresponse().read() == b"part"
    except http.client.HTTPException:
        pass
    connection.close()
    web.expect_error("late")
    site.write("good.lua", "function main() return 'good' end")
    assert front.get("good.lua").content == b"good"


def test_body_over_the_limit(front, site, web):
    response = front.post(write(site, "function main() Send(#Receive()) end"), b"x" * 1048577)
    assert response.status == 413
    web.any_errors = True
    front.any_errors = True  # nginx may be stopped in the middle of sending it


def test_proxy_header_of_the_client_is_dropped(front, site):
    page = write(site, "function main() for k in pairs(Env) do if k == 'HTTP_PROXY' then "
                       "Send('seen') end end Send(tostring(Env.HTTP_PROXY)) end")
    assert front.get(page, Proxy="http://evil/").content == b"nil"


def test_path_info(web, nginx, site):
    front = nginx(web, server="""
        location ~ ^(.+\\.lua)(/.*)$ {
            fastcgi_split_path_info ^(.+\\.lua)(/.*)$;
            fastcgi_pass lua;
            include /etc/nginx/fastcgi_params;
            fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
            fastcgi_param PATH_INFO $fastcgi_path_info;
        }""")
    page = write(site, "function main() Send(Env.PATH_INFO, ' ', Env.SCRIPT_NAME) end")
    assert front.get(page + "/a/b").content == b"/a/b /page.lua"


def test_many_requests_on_one_connection(front, site):
    page = write(site, "function main() Send(Env.QUERY_STRING) end")
    with front.connect() as connection:
        for i in range(100):
            assert front.request("%s?%d" % (page, i),
                                 connection=connection).content == b"%d" % i


def test_unread_bodies_do_not_disturb_what_follows(front, site):
    """On a kept connection what is left of a body must not be taken for a request."""
    write(site, "function main() return 'ignored' end")
    site.write("echo.lua", "function main() return Receive() end")
    with front.connect() as connection:
        for i in range(20):
            assert front.request("page.lua", "POST", b"\x01\x01\x00\x01" * 9999,
                                 connection=connection).content == b"ignored"
            assert front.request("echo.lua", "POST", b"body %d" % i,
                                 connection=connection).content == b"body %d" % i


def test_idle_kept_connections_take_no_workers(daemon, nginx, site):
    """More of them than workers: libfcgi's own loop would serve nobody any more."""
    d = daemon(WorkerThreads=2)
    front = nginx(d, keepalive=16)
    site.write("page.lua", "function main() return 'x' end")
    site.write("wait.lua", "function main() Flush() Receive() return 'x' end")
    threads = [threading.Thread(target=front.get, args=("page.lua",)) for _ in range(16)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    others = [d.connect().begin(d.site.params("page.lua"), keep=True).end() for _ in range(16)]
    for c in others:
        assert c.response().text == "x"
    assert front.get("page.lua").content == b"x"
    assert d.get("page.lua").text == "x"


def test_many_clients(front, site):
    page = write(site, "function main() Send(Env.QUERY_STRING, Receive()) end")
    wrong = []

    def client(i):
        with front.connect() as connection:
            for n in range(25):
                body = b"%d-%d" % (i, n) * (1 + n * 40)
                got = front.request("%s?%d" % (page, i), "POST", body, connection)
                if (got.status, got.content) != (200, b"%d" % i + body):
                    wrong.append(got)
    threads = [threading.Thread(target=client, args=(i,)) for i in range(16)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_tcp_between_nginx_and_daemon(daemon, nginx, site):
    d = daemon(Listen="127.0.0.1:%d" % free_port())
    front = nginx(d, keepalive=8, tcp=True)
    page = write(site, "function main() Send(Env.REMOTE_ADDR, ' ', #Receive()) end")
    with front.connect() as connection:
        for _ in range(10):
            assert front.request(page, "POST", b"x" * 100000,
                                 connection).content == b"127.0.0.1 100000"


def test_configuration_of_the_readme(daemon, nginx, site):
    """What its users have today, word for word, is nginx's part of every test here; this
    one has a script below a directory and a name with a space in it."""
    d = daemon()
    front = nginx(d)
    site.write("a b/c/my page.lua", "function main() Send(Dir(), Env.SCRIPT_NAME) end")
    assert front.get("a%20b/c/my%20page.lua").content.decode() == \
        site.path("a b/c") + "/a b/c/my page.lua"
