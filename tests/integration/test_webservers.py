"""What other web servers send differently, sent by our own client."""

import pytest

import fastcgi

DAEMON = {"WorkerThreads": 1, "MaxPostSize": 100000}

WHERE = "function main() Send(Env.SCRIPT_FILENAME, '|', Dir(), '|', require 'mod') end"


@pytest.fixture
def page(web):
    web.site.write("mod.lua", "return 'of the root'")
    web.site.write("sub/page.lua", WHERE)
    return "sub/page.lua"


@pytest.mark.parametrize("prefix", [
    "proxy:fcgi://localhost", "proxy:fcgi://127.0.0.1:9000", "proxy:fcgi://example.org/",
    "proxy:fcgi://localhost:8000/", "proxy:fcgi://[::1]:9000",
], ids=str)
def test_apache_puts_the_proxys_address_before_the_path(web, page, prefix):
    path = web.site.path(page)
    response = web.get(page, SCRIPT_FILENAME=prefix.rstrip("/") + path
                       if not prefix.endswith("/") else prefix + path)
    name, directory, module = response.text.split("|")
    assert response.status == 200 and module == "of the root"
    assert (name.replace("//", "/"), directory.replace("//", "/")) == (path, web.site.path("sub"))


def test_apache_path_is_the_same_script_as_the_plain_one(web):
    page = web.script("function main() n = (n or 0) + 1 return n end")
    plain = web.site.path(page)
    assert web.get(page, SCRIPT_FILENAME=plain).text == "1"
    assert web.get(page, SCRIPT_FILENAME="proxy:fcgi://localhost" + plain).text == "2"
    assert web.get(page, SCRIPT_FILENAME="proxy:fcgi://127.0.0.1:9000" + plain).text == "3"


@pytest.mark.parametrize("path", ["proxy:fcgi://", "proxy:fcgi://localhost", "proxy:fcgi:///",
                                  "proxy:", "relative/page.lua"])
def test_path_that_is_none_gets_an_error_page(web, path):
    web.any_errors = True
    assert web.get("x.lua", SCRIPT_FILENAME=path).status in (404, 500)


def test_h2o_sends_no_document_root(web, page):
    response = web.get(page, DOCUMENT_ROOT=None)
    assert response.text.split("|")[2] == "of the root"


@pytest.mark.parametrize("params", [
    {"DOCUMENT_ROOT": None, "SCRIPT_NAME": "/somewhere/else.lua"},
    {"DOCUMENT_ROOT": None, "SCRIPT_NAME": None}, {"DOCUMENT_ROOT": "", "SCRIPT_NAME": ""},
], ids=["alias", "neither", "both empty"])
def test_script_without_any_root_is_served_from_its_own_directory(web, params):
    web.site.write("sub/mod.lua", "return 'beside'")
    web.site.write("sub/page.lua", WHERE)
    response = web.get("sub/page.lua", **params)
    assert (response.status, response.text.split("|")[2]) == (200, "beside")


@pytest.mark.parametrize("claim", [None, "-1", "", "0", "5", "x", "1e9", "1 2"])
@pytest.mark.parametrize("read", ["Receive()", "con:gets()"])
def test_body_ends_where_the_stream_ends_whatever_content_length_says(web, claim, read):
    page = web.script("function main(env, con) Send(%s) end" % read)
    response = web.post(page, [b"part one,", b"part two"], CONTENT_LENGTH=claim)
    assert (response.status, response.text) == (200, "part one,part two")


@pytest.mark.parametrize("read", ["Receive()", "con:gets()"])
def test_body_that_ends_before_its_content_length_did_not_arrive_whole(web, read):
    page = web.script("function main(env, con) Send(%s) end" % read)
    response = web.post(page, [b"part one,", b"part two"], CONTENT_LENGTH="99999")
    assert response.status == 400 and response.ended
    web.wait_log("400: the body did not arrive whole", "info")


@pytest.mark.parametrize("claim", [None, "-1"])
def test_long_body_without_its_length(web, claim):
    page = web.script("function main(env, con) local n = 0 "
                      "for p in function() return con:gets(7777) end do n = n + #p end "
                      "Send(n) end")
    assert web.post(page, [b"x" * 30000] * 3, CONTENT_LENGTH=claim).text == "90000"


@pytest.mark.parametrize("name", ["HTTP_PROXY"])
def test_http_proxy_is_dropped(web, name):
    page = web.script("""function main()
        for k, v in pairs(Env) do if k == "HTTP_PROXY" or v == "evil" then Send("seen ") end end
        Send(tostring(Env.HTTP_PROXY), " ", Env.HTTP_PROXY_AUTHORIZATION) end""")
    response = web.get(page, **{name: "evil", "HTTP_PROXY_AUTHORIZATION": "kept"})
    assert response.text == "nil kept"


@pytest.mark.parametrize("size", [1, 10, 127, 4096, 65535])
def test_parameters_may_come_in_records_of_any_size(web, size):
    page = web.script("function main() return Env.QUERY_STRING .. Env.X_LONG end")
    params = web.site.params(page, query="q=1", X_LONG="v" * 3000)
    with web.connect() as c:
        c.send(fastcgi.head(params, size=size)).end()
        assert c.response().text == "q=1" + "v" * 3000


def test_padding_is_skipped(web):
    """lighttpd and Apache pad records to eight bytes; up to 255 are allowed."""
    page = web.script("function main() return Receive() end")
    params = fastcgi.pairs(web.site.params(page, "POST"))
    with web.connect() as c:
        c.send(fastcgi.begin() + fastcgi.record(fastcgi.PARAMS, params, padding=255) +
               fastcgi.record(fastcgi.PARAMS, padding=8) +
               fastcgi.record(fastcgi.STDIN, b"padded ", padding=7) +
               fastcgi.record(fastcgi.STDIN, b"body", padding=1) +
               fastcgi.record(fastcgi.STDIN, padding=3))
        assert c.response().text == "padded body"
