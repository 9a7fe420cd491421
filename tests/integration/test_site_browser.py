"""How the sample site and the pages of errors look, in a real browser through nginx: on a
phone and on a desk, light and dark."""

import os
import re

import pytest

import servers
import webdriver

EXAMPLES = os.path.join(servers.ROOT, "scripts", "examples")
PAGES = re.findall(r'file = "([^"]+)"', servers.read(os.path.join(EXAMPLES, "lib/pages.lua")))
LOOKS = [("light", 360, True), ("dark", 360, True), ("light", 1280, False), ("dark", 1280, False)]


@pytest.fixture
def front(daemon, nginx, scratch):
    data = scratch()
    os.chmod(data, 0o777)
    d = daemon(WorkerThreads=4, ShowErrors=True, DataDir=data, warns="ShowErrors")
    d.any_errors = True
    return nginx(d, site=servers.Site(EXAMPLES), keepalive=2, tcp=True,
                 server="types { text/css css; }")


def open_page(browser, front, name):
    browser.open("http://%s:%d/%s" % (webdriver.HOST, front.port, name))


def fits(browser, width):
    wide = browser.run("return [document.documentElement.scrollWidth, window.innerWidth]")
    assert wide[0] <= wide[1] == width, wide
    return True


def background(browser):
    return browser.run("return getComputedStyle(document.body).backgroundColor")


# Code that is wider than its box, and does not show that it scrolls.
HIDDEN = """return [...document.querySelectorAll('pre')].filter(p => p.scrollWidth > p.clientWidth
    && !getComputedStyle(p).backgroundAttachment.includes('local')).length"""

# Names of tables that take more than one line.
BROKEN = """return [...document.querySelectorAll('th[scope=row]')].filter(th => {
    const range = document.createRange()
    range.selectNodeContents(th)
    return new Set([...range.getClientRects()].map(r => r.top)).size > 1
}).map(th => th.innerText)"""

STEPS = """return [...document.querySelectorAll('.bar nav a')].map(a => {
    const r = a.getBoundingClientRect()
    return [a.rel, a.rel == 'prev' ? r.left : r.right, r.top]
})"""


@pytest.mark.parametrize("scheme, width, mobile", LOOKS)
def test_every_page_fits_the_window(front, browser, scheme, width, mobile):
    browser.looks(scheme, width, 800, mobile)
    for page in ["index.lua", "source.lua?file=login.lua"] + PAGES:
        open_page(browser, front, page)
        assert fits(browser, width), page
        assert browser.run(HIDDEN) == 0, page
        assert browser.run(BROKEN) == [], page


def test_links_to_the_next_page_are_in_one_place(front, browser):
    for _, width, mobile in LOOKS[::2]:
        browser.looks("light", width, 800, mobile)
        places = {}
        for page in PAGES:
            open_page(browser, front, page)
            for rel, x, y in browser.run(STEPS):
                places.setdefault(rel, set()).add((round(x), round(y)))
        assert {rel: len(where) for rel, where in places.items()} == {"prev": 1, "next": 1}, places


def test_the_foot_says_what_a_state_is(front, browser):
    browser.looks("light", 360, 800, True)
    open_page(browser, front, "hello-v2.lua")
    assert re.search(r"served by state \d+ on thread \d+", browser.text())
    assert "copy of the script" not in browser.text()
    browser.run("document.querySelector('.foot summary').click()")
    assert "A state is a copy of the script in memory" in browser.text()
    assert fits(browser, 360)


@pytest.mark.parametrize("page, title", [("error.lua?fail=at+once", "500 Internal Server Error"),
                                         ("no-such.lua", "404 Not Found")])
def test_pages_of_errors_fit_the_window_light_and_dark(front, browser, page, title):
    colours = {}
    for scheme, width, mobile in LOOKS:
        browser.looks(scheme, width, 800, mobile)
        open_page(browser, front, page)
        assert browser.run("return document.querySelector('h1').innerText") == title
        assert fits(browser, width) and browser.run(HIDDEN) == 0
        colours.setdefault(scheme, set()).add(background(browser))
    assert len(colours["light"]) == len(colours["dark"]) == 1
    assert colours["light"] != colours["dark"]


def test_error_shows_its_line_marked(front, browser):
    open_page(browser, front, "error.lua?fail=at+once")
    line = browser.run("return document.querySelector('mark').innerText")
    assert "this page fails on purpose" in line
    assert browser.run("return document.querySelectorAll('.source code').length") == 11
