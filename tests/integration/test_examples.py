"""Pages of the sample site that need no browser."""

import os
import re

import pytest

import servers

EXAMPLES = servers.Site(os.path.join(servers.ROOT, "scripts/examples"))
STYLE = os.path.join(EXAMPLES.root, "style.css")


def get(web, page, query="", **params):
    return web.request(page, site=EXAMPLES, query=query, **params)


def test_a_template_has_a_row_for_each_item(web):
    text = get(web, "template.lua").text
    rows = re.findall(r'<th scope="row">(.*?)</th><td>(.*?)</td>\s*<td>(.*?)</td>', text)
    assert rows == [("Tea, 100 g", "4.20", "12 left"), ("Nuts &amp; raisins", "3.50", "sold out"),
                    ("Jam &lt;sour cherry&gt;", "2.95", "3 left"), ("Oat biscuits", "1.80", "40 left")]
    assert "4 of our goods" in text and "&lt;%= name %&gt;" in text


@pytest.mark.parametrize("query, shown", [
    ("q=tea", '<th scope="row">Tea, 100 g</th>'), ("q=%3Ci%3E", "There is no \u201c&lt;i&gt;\u201d here"),
    ("q=%25", "There is no"), ("q=a&q=b", "4 of our goods")])
def test_a_template_shows_what_was_looked_for(web, query, shown):
    assert shown in get(web, "template.lua", query).text


def test_a_download_is_the_file(web):
    response = get(web, "download.lua", "file=style.css")
    assert response.body == servers.read(STYLE).encode() and response.status == 200
    assert response.header("Content-Type") == "text/css; charset=utf-8"
    assert 'filename="style.css"' in response.header("Content-Disposition")


def test_a_part_of_a_download(web):
    response = get(web, "download.lua", "file=style.css", HTTP_RANGE="bytes=10-19")
    assert response.status == 206 and response.body == servers.read(STYLE).encode()[10:20]
    whole = get(web, "download.lua", "file=style.css")
    again = get(web, "download.lua", "file=style.css", HTTP_IF_NONE_MATCH=whole.header("ETag"))
    assert again.status == 304 and not again.body


@pytest.mark.parametrize("name", ["../demo.sh", "/etc/passwd", "", "lib/page.lua", "style.css%00"])
def test_only_what_is_in_its_list_is_a_download(web, name):
    response = get(web, "download.lua", "file=" + name)
    assert response.status == 200 and "<h1>Download</h1>" in response.text


@pytest.mark.parametrize("text, name, shown", [
    ("%3Cb%3E", "lf.escape", "&amp;lt;b&amp;gt;"), ("Hi", "lf.base64", "SGk="), ("SGk=", "lf.unbase64", "Hi"),
    ("abc", "lf.sha256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    ("%FF%00", "lf.hex", "ff00"), ("zz", "lf.unhex", "these are no hexadecimal digits"),
    ("a.png", "lf.mime", "image/png"), ("secret", "lf.equal", "it is the secret"),
    ("Thu,+01+Jan+1970+00:01:00+GMT", "lf.parse_http_date", "60")])
def test_tools_show_what_becomes_of_a_text(web, text, name, shown):
    page = get(web, "tools.lua", "text=" + text).text
    assert ">%s</th><td>%s</td>" % (name, shown) in page


def test_the_counter_begins_again_when_asked_to(web):
    assert "All states together have counted to " in get(web, "counter.lua").text
    response = web.post("counter.lua", b"", site=EXAMPLES)
    assert response.status == 303 and response.header("Location") == "counter.lua"
    assert "All states together have counted to 1," in get(web, "counter.lua").text


def test_a_header_is_shown_by_its_name(web):
    text = get(web, "environment.lua", HTTP_ACCEPT_LANGUAGE="de, <en>").text
    assert re.search(r">accept-language</th>\s*<td>de, &lt;en&gt;</td>", text), text


def test_a_shown_source_is_whole(web):
    for name in ("template.lua", "download.lua", "tools.lua"):
        text = get(web, "source.lua", "file=" + name).text
        assert "<h1>%s</h1>" % name in text and "page.bottom()" in re.sub("<[^>]*>", "", text)
