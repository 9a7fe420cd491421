"""A real browser sends forms and files through nginx."""

import os
import re

import pytest

import servers
from webdriver import HOST

EXAMPLES = os.path.join(servers.ROOT, "scripts", "examples")
LARGE = 50 * 1024 * 1024

PAGE = r"""
local function describe(file)
    local size, first, last = 0
    for piece in function() return file:read(65536) end do
        first = first or piece:sub(1, 8)
        last = piece:sub(-8)
        size = size + #piece
    end
    return ("%s|%d|%d|%s|%s|%s"):format(file.name, file.size, size, file.type, tostring(first), tostring(last))
end

function main()
    RespContentType("text/html; charset=utf-8")
    Send('<!DOCTYPE html><link rel="icon" href="data:,"><form method="post" enctype="multipart/form-data">',
         '<input name="n&#228;me"><input name="text"><textarea name="area"></textarea>',
         '<input type="checkbox" name="box" value="1" checked><input type="checkbox" name="box" value="2" checked>',
         '<input type="file" name="none"><input type="file" name="datei" multiple>',
         '<button>Go</button></form><pre id="got">')
    local form = lf.form()
    local function out(...) Send(lf.escape(table.concat({...}, "|")), "\n") end
    if next(form) then
        out(form["näme"], form.text, form.area, table.concat(form.box, ","))
        local files = lf.files()
        out(tostring(files.none))
        for _, file in ipairs(type(files.datei) == "table" and files.datei or {files.datei}) do
            out(describe(file))
        end
    end
    Send("</pre>")
end
"""


@pytest.fixture
def large(scratch):
    """A file of 50 MB with a name that is not ASCII."""
    path = os.path.join(scratch(), "großes Bild ☃.bin")
    with open(path, "wb") as f:
        f.write(b"begin---")
        f.seek(LARGE - 8)
        f.write(b"-----end")
    return path


@pytest.mark.alone
def test_a_browser_sends_a_form_with_a_file_of_50_mb(daemon, nginx, site, scratch, browser, large):
    store = scratch()
    d = daemon(WorkerThreads=2, UploadDir=store, ScriptMemoryLimit=8000000, RequestTimeout=120)
    site.write("form.lua", PAGE)
    n = nginx(d, keepalive=2, tcp=True)
    small = os.path.join(store, "klein.txt")
    with open(small, "w", encoding="ascii") as f:
        f.write("small")
    browser.open("http://%s:%d/form.lua" % (HOST, n.port))
    before = d.rss()
    browser.type("input[name=näme]", "Zoë ☃")
    browser.type("input[name=text]", "a\"b&c=d%22")
    browser.type("textarea", "two\nlines")
    browser.type("input[name=datei]", large + "\n" + small)
    browser.click("button")
    got = browser.run("return document.getElementById('got').textContent").strip().split("\n")
    assert got[:3] == ["Zoë ☃|a\"b&c=d%22|two", "lines|1,2", "nil"], got
    assert got[-2:] == [
        "großes Bild ☃.bin|%d|%d|application/octet-stream|begin---|-----end" % (LARGE, LARGE),
        "klein.txt|5|5|text/plain|small|small"], got
    if not servers.SANITIZER:
        assert d.rss() - before < 4 * 1024 * 1024
    servers.wait_until(lambda: os.listdir(store) == ["klein.txt"], "the uploads to be removed")


def test_the_sample_sites_upload_page_in_a_real_browser(daemon, nginx, browser, scratch):
    n = nginx(daemon(WorkerThreads=2), site=servers.Site(EXAMPLES), tcp=True)
    path = os.path.join(scratch(), "<b>ä.txt")
    with open(path, "w", encoding="ascii") as f:
        f.write("ab")
    browser.open("http://%s:%d/upload.lua" % (HOST, n.port))
    assert "What arrived" not in browser.text()
    browser.type("input[name=title]", "A title")
    browser.type("input[name=files]", path)
    browser.click("form.box button")
    text = browser.text()
    assert "<b>ä.txt" in text and "2 bytes" in text and "000000c3" in text, text
    assert re.search(r'value="A title"', browser.run("return document.documentElement.outerHTML"))
