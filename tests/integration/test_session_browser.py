"""A real browser logs in at the sample site's login page, reloads and logs out: through
nginx, over plain http, and under a name that is not localhost, for which a browser would
make exceptions."""

import os

import pytest

import servers
from webdriver import HOST

EXAMPLES = os.path.join(servers.ROOT, "scripts", "examples")


@pytest.fixture
def login(daemon, nginx):
    """The address of the sample site's login page, served by several states and threads."""
    d = daemon(WorkerThreads=4, LuaStates=4)
    n = nginx(d, site=servers.Site(EXAMPLES), keepalive=2, tcp=True)
    return "http://%s:%d/login.lua" % (HOST, n.port)


def test_login_reload_and_logout_in_a_real_browser(login, browser):
    # Somebody who has not logged in gets a form, and a cookie that fits plain http.
    browser.open(login)
    assert browser.find("input[name=password]")
    before = browser.cookies()["XLuaSession"]
    assert before["httpOnly"] and not before["secure"] and before["sameSite"] == "Lax"
    assert before["domain"] == HOST and before["path"] == "/"
    assert "XLuaSession" not in browser.run("return document.cookie")

    # A wrong password changes nothing.
    browser.type("input[name=name]", "ada")
    browser.type("input[name=password]", "wrong")
    browser.click("button[value=login]")
    assert "Hello" not in browser.text()
    assert browser.find("[role=alert]")

    # The right one logs in, under a new key.
    browser.type("input[name=name]", "ada")
    browser.type("input[name=password]", "engine")
    browser.click("button[value=login]")
    assert "Hello, ada!" in browser.text()
    logged_in = browser.cookies()["XLuaSession"]
    assert logged_in["value"] != before["value"]

    # It lasts over reloads, with the same cookie, whichever state answers.
    for visits in range(2, 8):
        browser.reload()
        assert "Hello, ada!" in browser.text()
        assert "seen this page %d times" % visits in browser.text()
    assert browser.cookies()["XLuaSession"]["value"] == logged_in["value"]

    # Logging out ends it: for the browser, and for whoever has kept the key.
    browser.click("button[value=logout]")
    assert "Hello" not in browser.text() and browser.find("input[name=password]")
    after = browser.cookies().get("XLuaSession", {}).get("value")
    assert after not in (before["value"], logged_in["value"])
    for key in before["value"], logged_in["value"]:
        browser.do("/cookie", {"cookie": {"name": "XLuaSession", "value": key, "path": "/"}})
        browser.open(login)
        assert "Hello" not in browser.text() and browser.find("input[name=password]")


def test_two_browsers_do_not_share_a_session(login, browser):
    def log_in():
        browser.open(login)
        browser.type("input[name=name]", "grace")
        browser.type("input[name=password]", "compiler")
        browser.click("button[value=login]")
        assert "Hello, grace!" in browser.text()
    log_in()
    browser.do("/cookie", method="DELETE")  # another visitor
    browser.open(login)
    assert "Hello" not in browser.text()
    log_in()
