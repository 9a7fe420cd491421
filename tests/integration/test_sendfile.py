"""SendFile: whole and in part, on conditions, from the daemon and through nginx."""

import os
from email.utils import formatdate

import pytest

from servers import wait_until

DAEMON = {"WorkerThreads": 2, "SendFileHeader": ""}
TEXT = bytes(range(256)) * 4
MTIME = 784111777


@pytest.fixture
def text(site):
    """The name of a file of 1024 bytes."""
    with open(os.path.join(site.root, "data.bin"), "wb") as f:
        f.write(TEXT)
    os.utime(os.path.join(site.root, "data.bin"), (MTIME, MTIME))
    return "data.bin"


def send(web, arguments, before="", **request):
    return web.main("%s SendFile(%s)" % (before, arguments), **request)


def test_a_file_is_sent_whole_with_what_caches_need(web, text):
    r = send(web, '"%s"' % text)
    assert (r.status, r.body) == (200, TEXT)
    assert r.header("Content-Length") == "1024"
    assert r.header("Content-Type") == "application/octet-stream"
    assert r.header("Last-Modified") == "Sun, 06 Nov 1994 08:49:37 GMT"
    assert r.header("Accept-Ranges") == "bytes"
    assert r.header("ETag").startswith('"') and r.header("ETag").endswith('"')
    assert not r.all("Content-Disposition") and not r.all("Cache-Control")


def test_what_was_sent_before_is_dropped(web, text):
    assert send(web, '"%s"' % text, 'Send("lost") Header("X-A", "kept")').body == TEXT


@pytest.mark.parametrize("size", [0, 1, 16384, 262144, 262145, 3000000])
def test_files_of_every_size(web, site, size):
    data = os.urandom(size)
    with open(os.path.join(site.root, "sized.bin"), "wb") as f:
        f.write(data)
    r = send(web, '"sized.bin"')
    assert (r.status, r.body, r.ended) == (200, data, True)
    assert r.header("Content-Length") == str(size)
    head = send(web, '"sized.bin"', method="HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.header("Content-Length") == str(size)


def test_parts(web, text):
    for given, first, last in ("bytes=0-9", 0, 9), ("bytes=1000-", 1000, 1023), \
            ("bytes=-4", 1020, 1023):
        r = send(web, '"%s"' % text, HTTP_RANGE=given)
        assert (r.status, r.body) == (206, TEXT[first:last + 1])
        assert r.header("Content-Range") == "bytes %d-%d/1024" % (first, last)
        assert r.header("Content-Length") == str(last + 1 - first)
    r = send(web, '"%s"' % text, HTTP_RANGE="bytes=1024-")
    assert (r.status, r.body) == (416, b"")
    assert r.header("Content-Range") == "bytes */1024"
    r = send(web, '"%s"' % text, HTTP_RANGE="bytes=0-1", method="HEAD")
    assert (r.status, r.header("Content-Length")) == (200, "1024")


def test_conditions(web, text):
    first = send(web, '"%s"' % text)
    etag, date = first.header("ETag"), first.header("Last-Modified")
    for given in {"HTTP_IF_NONE_MATCH": etag}, {"HTTP_IF_MODIFIED_SINCE": date}:
        r = send(web, '"%s", {maxage = 60}' % text, **given)
        assert (r.status, r.body) == (304, b"")
        assert (r.header("ETag"), r.header("Cache-Control")) == (etag, "max-age=60")
    assert send(web, '"%s"' % text, HTTP_IF_NONE_MATCH='"x"').status == 200
    assert send(web, '"%s"' % text, HTTP_IF_MATCH='"x"').status == 412
    part = {"HTTP_RANGE": "bytes=0-1"}
    assert send(web, '"%s"' % text, HTTP_IF_RANGE=etag, **part).status == 206
    assert send(web, '"%s"' % text, HTTP_IF_RANGE='"x"', **part).status == 200
    r = send(web, '"%s"' % text, method="POST", HTTP_IF_NONE_MATCH=etag, **part)
    assert (r.status, r.body) == (200, TEXT)
    r = send(web, '"%s"' % text, "RespStatus(404)", HTTP_IF_NONE_MATCH=etag, **part)
    assert (r.status, r.body) == (404, TEXT)


def test_the_etag_changes_with_the_file(web, site, text):
    before = send(web, '"%s"' % text).header("ETag")
    os.utime(os.path.join(site.root, text), ns=(MTIME * 10**9, MTIME * 10**9 + 1))
    assert send(web, '"%s"' % text).header("ETag") != before


def test_options(web, text):
    r = send(web, '"%s", {type = "text/x-a", name = "Gr\u00fc\u00dfe \\"1\\".txt", '
             'maxage = 0}' % text)
    assert r.header("Content-Type") == "text/x-a"
    assert r.header("Content-Disposition") == (
        "attachment; filename=\"Gr____e _1_.txt\"; "
        "filename*=UTF-8''Gr%C3%BC%C3%9Fe%20%221%22.txt")
    assert r.header("Cache-Control") == "max-age=0"
    r = send(web, '"%s", {inline = true}' % text)
    assert r.header("Content-Disposition").startswith('inline; filename="data.bin"')
    r = send(web, '"%s", {inline = false}' % text)
    assert r.header("Content-Disposition").startswith('attachment; filename="data.bin"')


def test_texts_are_in_utf_8(web, site):
    for name, expected in ("a.txt", "text/plain; charset=utf-8"), ("a.html", "text/html"), \
            ("a.svg", "image/svg+xml"):
        site.write(name, "x")
        assert send(web, '"%s"' % name).header("Content-Type") == expected


def test_what_is_no_file_is_a_404(web, site):
    os.mkdir(os.path.join(site.root, "d"))
    os.mkfifo(os.path.join(site.root, "fifo"))
    for name in "nothing", "d", "fifo", "/dev/null":
        assert send(web, '"%s"' % name).status == 404
    web.wait_log("404: SendFile: .*/fifo: it is no regular file")
    assert send(web, '"%s"' % "nothing", "local SendFile = function(f) "
                'Send(tostring(pcall(_G.SendFile, f))) end').text == "false"


def test_what_may_not_be_read_is_a_403(daemon, site):
    d = daemon(**({"User": "nobody"} if os.geteuid() == 0 else {}))  # root may read all
    os.chmod(site.write("secret.bin", "x"), 0)
    assert send(d, '"secret.bin"').status == 403
    d.wait_log("403: SendFile: .*/secret.bin: Permission denied")


@pytest.mark.parametrize("arguments, message", [
    ("", "bad argument #1 to 'SendFile'"),
    ('""', "a path expected"),
    ('"a\\0b"', "a path expected"),
    ('"a", 5', "bad argument #2 to 'SendFile'"),
    ('"a", {Type = "x"}', "there is no option 'Type'"),
    ('"a", {type = 5}', "option type: a string expected"),
    ('"a", {maxage = -1}', "option maxage: a number of seconds expected"),
    ('"a", {inline = "yes"}', "option inline: true or false expected"),
    ('"a", {type = "x\\r\\ny"}', "header 'Content-Type'"),
])
def test_a_wrong_argument_is_named(web, site, arguments, message):
    site.write("a", "x")
    assert web.main("Send(select(2, pcall(SendFile%s)))" % (
        ", " + arguments if arguments else "")).text.find(message) >= 0


def test_after_a_flush_it_is_too_late(web, text):
    assert "after the first flush" in web.main(
        'Flush() Send(select(2, pcall(SendFile, "%s")))' % text).text


def test_no_file_stays_open(web, text):
    page = web.script('function main() SendFile("%s") end' % text)
    web.get(page)
    before = len(web.descriptors())
    for _ in range(50):
        assert web.get(page).body == TEXT
    wait_until(lambda: len(web.descriptors()) <= before + 1, "the files to be closed")


def test_nginx_sends_what_is_handed_on(daemon, site, nginx, scratch):
    files = scratch()
    for name in "a b%41.txt", "sub.bin":
        with open(os.path.join(files, name), "wb") as f:
            f.write(TEXT)
    d = daemon(SendFileHeader="X-Accel-Redirect: %s/=/protected/" % os.path.realpath(files))
    page = site.write("s.lua", 'function main() SendFile(lf.parse(Env.QUERY_STRING).f, '
                      '{name = "x.txt"}) end')
    front = nginx(d, site, server="location /protected/ { internal; alias %s/; }" % files)
    name = os.path.basename(page)
    r = front.get("/%s?f=%s/a+b%%2541.txt" % (name, files), Range="bytes=0-3")
    assert (r.status, r.content) == (206, TEXT[:4])
    assert r.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert r.headers["Content-Disposition"].startswith("attachment")
    assert front.get("/protected/sub.bin").status == 404
    site.write("own.bin", TEXT.decode("latin-1"))
    r = d.get(name, query="f=own.bin")
    assert r.status == 200 and not r.all("X-Accel-Redirect")
    r = d.get(name, query="f=%s/../%s/sub.bin" % (files, os.path.basename(files)))
    assert r.all("X-Accel-Redirect") == ["/protected/sub.bin"] and r.body == b""


def test_x_sendfile_has_the_whole_path(daemon, site, text):
    d = daemon(SendFileHeader="X-Sendfile")
    r = d.main('SendFile("%s")' % text)
    assert r.header("X-Sendfile") == os.path.realpath(os.path.join(site.root, text))
    assert r.body == b""


def test_the_date_is_that_of_the_file(web, site):
    path = site.write("now.txt", "x")
    expected = formatdate(int(os.stat(path).st_mtime), usegmt=True)
    assert send(web, '"now.txt"').header("Last-Modified") == expected
