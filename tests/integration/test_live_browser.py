"""The live pages of the sample site, in a real browser and through nginx: what they draw,
what visitors hear of each other, and how they look."""

import contextlib
import json
import os
import urllib.parse

import pytest

import servers
import test_manual
import webdriver
from servers import wait_until

EXAMPLES = os.path.join(servers.ROOT, "scripts", "examples")


@pytest.fixture
def front(daemon, nginx):
    d = daemon(WorkerThreads=4)
    return nginx(d, site=servers.Site(EXAMPLES), keepalive=2, tcp=True,
                 server="types { text/css css; }")


def open_page(browser, front, name):
    browser.open("http://%s:%d/%s" % (webdriver.HOST, front.port, name))


@contextlib.contextmanager
def stream(front, path):
    """What http.client has of a stream of events."""
    connection = front.connect()
    connection.request("GET", path)
    try:
        response = connection.getresponse()
        assert response.status == 200 and response.getheader("X-Accel-Buffering") is None
        yield response
    finally:
        connection.close()


def next_data(response):
    for line in iter(response.readline, b""):
        if line.startswith(b"data: "):
            return dict(urllib.parse.parse_qsl(line[6:-1].decode()))
    raise AssertionError("the stream has ended")


def shows(browser, script, what):
    wait_until(lambda: browser.run("return " + script), what, webdriver.PATIENCE)


POINTS = "document.querySelector('figure[data-name=%s] polyline').points.numberOfItems"


def test_live_page_draws_the_machine(front, browser):
    open_page(browser, front, "live.lua")
    shows(browser, (POINTS % "load") + " >= 2", "a line of the load")
    for name in "memory", "pages":
        assert browser.run("return " + POINTS % name) >= 1
    memory = browser.run("return charts.get('memory').values[0]")
    assert 0 < memory < 100
    assert "Memory in use" in browser.text()
    shown = os.path.exists("/sys/class/thermal/thermal_zone0/temp")
    assert browser.run("return charts.get('temperature').figure.hidden") is not shown
    assert not front.errors()


def test_live_page_says_how_many_are_watching(front, browser):
    open_page(browser, front, "live.lua")
    watching = "document.getElementById('watching').textContent == %d"
    shows(browser, watching % 1, "one who is watching")
    with stream(front, "/live.lua?events") as other:
        shows(browser, watching % 2, "two who are watching")
        while "load" not in next_data(other):
            pass
    shows(browser, watching % 1, "the other to be gone")


def test_live_page_counts_the_pages_asked_for(front, browser):
    open_page(browser, front, "live.lua")
    shows(browser, (POINTS % "pages") + " >= 1", "a line of the pages")

    def counted():
        front.get("/hello-v2.lua")
        return browser.run("return charts.get('pages').values.some(v => v >= 1)")
    wait_until(counted, "a page to be counted", webdriver.PATIENCE)


def test_chat_shows_what_others_write(front, browser):
    open_page(browser, front, "chat.lua")
    shows(browser, "document.getElementById('here').textContent == 1", "the browser to be here")
    with stream(front, "/chat.lua?events") as other:
        assert next_data(other) == {"here": "2"}
        answer = front.post("/chat.lua", urllib.parse.urlencode(
            {"name": "<b>Zo\u00eb</b>", "text": "50 % & \"more\" <script>x</script>"}))
        assert answer.status == 204
        shows(browser, "document.getElementById('said').innerText.includes('<script>')",
              "what the other wrote")
        assert browser.run("return document.getElementById('said').innerText") == (
            "<b>Zo\u00eb</b> 50 % & \"more\" <script>x</script>")
        shows(browser, "document.getElementById('here').textContent == 2", "two to be here")

        browser.type("input[name=name]", "Ada")
        browser.type("input[name=text]", "1 + 1 = 2; \u00fc")
        browser.run("document.querySelector('button').click()")
        said = next_data(other)
        while said.get("name") != "Ada":
            said = next_data(other)
        assert said["text"] == "1 + 1 = 2; \u00fc"
        shows(browser, "document.getElementById('said').innerText.includes('1 + 1 = 2')",
              "the browser's own words")


def test_chat_refuses_a_long_message(front):
    answer = front.post("/chat.lua", "text=" + "x" * 3000)
    assert answer.status == 413


def test_live_pages_fit_a_phone_and_have_a_dark_side(front, browser):
    for page in "live.lua", "chat.lua":
        colours = set()
        for scheme in "light", "dark":
            for width, height, mobile in (1280, 900, False), (390, 844, True):
                browser.looks(scheme, width, height, mobile)
                open_page(browser, front, page)
                wide, there = browser.run(
                    "return [document.documentElement.scrollWidth, window.innerWidth]")
                assert wide <= there == width, (page, scheme, wide)
                colours.add((scheme, browser.run(
                    "return getComputedStyle(document.body).backgroundColor")))
                assert "local function" in browser.text()  # its Lua is beside it
        assert len(colours) == 2 and len(dict(map(reversed, colours))) == 2, colours


def test_live_page_of_the_manual(daemon, nginx, site, browser):
    site.write("notes.lua", test_manual.LIVE)
    site.write("favicon.ico", "")
    d = daemon(WorkerThreads=4, StatusPath="/status")
    front = nginx(d, site=site, keepalive=2, tcp=True)
    open_page(browser, front, "notes.lua")
    with stream(front, "/notes.lua?events") as other:
        wait_until(lambda: json.loads(d.get("/status", "json").text)["channels"]["subscriptions"] == 2,
                   "both to listen", webdriver.PATIENCE)
        browser.type("input[name=text]", "1 < 2 & <b>so on</b>")
        browser.run("document.querySelector('button').click()")
        shows(browser, "document.querySelector('ul').innerText == '1 < 2 & <b>so on</b>'",
              "the browser's own note")
        line = next(line for line in iter(other.readline, b"") if line.startswith(b"data"))
        assert line == b"data: 1 < 2 & <b>so on</b>\n"
        assert browser.run("return location.pathname") == "/notes.lua"
