"""The site of luafcgid2-tutorial(7) in a real browser and through nginx, as its reader uses it."""

import os

import pytest

import servers
import tutorial
import webdriver

# A picture of 1 x 1, as small as they come.
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d4944415478da63"
    "64f8cf500f0003860180d25a1d340000000049454e44ae426082")


@pytest.fixture
def front(daemon, nginx, site, scratch):
    for step in tutorial.steps():
        if isinstance(step, tutorial.File):
            site.write(step.name, step.text)
    d = daemon(WorkerThreads=2, DataDir=scratch())
    hashed = d.main("Send(lf.password_hash('a long secret'))").text
    site.write("lib/users.lua", 'return { ada = "%s" }' % hashed)
    n = nginx(d, keepalive=2, tcp=True, server="types { text/css css; } "
              "location = /favicon.ico { log_not_found off; }")
    n.url = "http://%s:%d/" % (webdriver.HOST, n.port)
    return n


def test_visitors_write_into_the_guestbook(front, browser):
    browser.open(front.url + "guestbook.lua")
    browser.type("input[name=name]", "Zoë <b>")
    browser.type("textarea", "\"2 < 3\" & more")
    browser.click("form button")
    assert "Zoë <b>\n" in browser.text() and "\"2 < 3\" & more" in browser.text()
    browser.reload()
    assert browser.text().count("Zoë <b>") == 1
    browser.type("textarea", "kept")
    browser.click("form button")
    assert "Please write a name" in browser.text()
    assert browser.run("return document.querySelector('textarea').value") == "kept"


def test_who_logs_in_may_show_a_picture(front, browser, scratch):
    path = os.path.join(scratch(), "ein Bild ä.png")
    with open(path, "wb") as f:
        f.write(PNG)
    browser.open(front.url + "upload.lua")  # which leads to the login
    browser.type("input[name=name]", "ada")
    browser.type("input[name=password]", "a long secret")
    browser.click("form button")
    assert "You are ada." in browser.text()
    browser.open(front.url + "upload.lua")
    browser.type("input[type=file]", path)
    browser.click("form button")
    width = "return document.querySelector('img').naturalWidth"
    servers.wait_until(lambda: browser.run(width) == 1, "the picture", webdriver.PATIENCE)
    browser.open(front.url + "login.lua")
    browser.click("form button")
    assert "You are" not in browser.text()


def test_the_chart_draws_who_comes(front, browser):
    browser.open(front.url + "chart.lua")
    points = "return document.querySelector('polyline').points.numberOfItems"
    servers.wait_until(lambda: browser.run(points) == 60, "the line", webdriver.PATIENCE)
    assert browser.run("return Math.max(...values)") == 0
    for _ in range(3):
        front.get("/index.lua")
    servers.wait_until(lambda: browser.run("return values.reduce((a, b) => a + b)") == 3,
                       "three visitors on the chart", webdriver.PATIENCE)
    assert not front.errors()
