"""The cookie of a session: what it says, when it is sent again, what is no such cookie."""

import re
import time

import pytest

from browsers import NAME, Browser
from servers import wait_until

DAEMON = {"WorkerThreads": 4, "LuaMaxStates": 12}


@pytest.fixture
def browser(web):
    return Browser(web)


# -- what it says --

def set_cookie(daemon, **params):
    response = daemon.run("function main() Session.Start() end", **params)
    [line] = response.all("Set-Cookie")
    name, _, rest = line.partition("=")
    key, *attributes = rest.split("; ")
    assert re.fullmatch("[A-Za-z0-9]{24}", key)
    return name, sorted(attributes)


PLAIN = ["HttpOnly", "Max-Age=3600", "Path=/", "SameSite=Lax"]


@pytest.mark.parametrize("params, secure", [
    ({}, False),
    ({"SERVER_NAME": "_"}, False),
    ({"HTTPS": "on"}, True),
    ({"HTTPS": "off"}, False),
    ({"HTTPS": ""}, False),
    ({"REQUEST_SCHEME": "https"}, True),
    ({"REQUEST_SCHEME": None}, False),
    ({"HTTP_X_FORWARDED_PROTO": "https"}, False),
    ({"HTTP_X_FORWARDED_SSL": "on"}, False),
], ids=str)
def test_the_cookie_is_secure_when_the_request_is(web, params, secure):
    assert set_cookie(web, **params) == (NAME, sorted(PLAIN + ["Secure"] * secure))


@pytest.mark.parametrize("options, https, name, attributes", [
    ({"SessionCookieSecure": True}, "", NAME, PLAIN + ["Secure"]),
    ({"SessionCookieSecure": False}, "on", NAME, PLAIN),
    ({"SessionCookieHttpOnly": False}, "", NAME, ["Max-Age=3600", "Path=/", "SameSite=Lax"]),
    ({"SessionCookieSameSite": "Strict"}, "", NAME,
     ["HttpOnly", "Max-Age=3600", "Path=/", "SameSite=Strict"]),
    ({"SessionCookieSameSite": "None", "SessionCookieSecure": True}, "on", NAME,
     ["HttpOnly", "Max-Age=3600", "Path=/", "SameSite=None", "Secure"]),
    ({"SessionCookiePersistent": False}, "", NAME, ["HttpOnly", "Path=/", "SameSite=Lax"]),
    ({"SessionTime": 604800}, "", NAME,
     ["HttpOnly", "Max-Age=604800", "Path=/", "SameSite=Lax"]),
    ({"SessionTime": 0.5}, "", NAME, ["HttpOnly", "Max-Age=1", "Path=/", "SameSite=Lax"]),
    ({"SessionMaxAge": 60}, "", NAME, ["HttpOnly", "Max-Age=60", "Path=/", "SameSite=Lax"]),
    ({"SessionCookieDomain": "example.org"}, "", NAME, PLAIN + ["Domain=example.org"]),
    ({"SessionName": "__Host-id", "SessionCookieSecure": True}, "on", "__Host-id",
     PLAIN + ["Secure"]),
    ({"SessionName": "id"}, "", "id", PLAIN),
], ids=str)
def test_the_cookie_is_configurable(daemon, options, https, name, attributes):
    d = daemon(**options)
    assert set_cookie(d, HTTPS=https) == (name, sorted(attributes))
    browser = Browser(d, name=name, HTTPS=https)
    # The shortest SessionTime may be over between the two.
    wait_until(lambda: browser.set("1") == "true" and browser.get() == "1", "a value to be kept")


# -- when it is sent again --

def test_the_cookie_is_renewed_while_the_session_is_used(daemon):
    """So that it lasts as long as the session does: with 16 s from the second second on."""
    d = daemon(SessionTime=16)
    page = d.script("function main() Session.GetVar('r', 'k') end")
    browser = Browser(d)
    browser.set("1")
    key = browser.key
    wait_until(lambda: browser.serve(page) and len(browser.keys) > 1, "a renewal")
    assert browser.keys == [key, key]
    [line] = d.run("function main() Session.Start() end").all("Set-Cookie")
    assert "Max-Age=16;" in line


def test_a_cookie_until_the_browser_is_closed_is_not_renewed(daemon):
    d = daemon(SessionCookiePersistent=False, SessionTime=3)
    browser = Browser(d)
    browser.set("1")
    begun = time.monotonic()
    while time.monotonic() < begun + 0.5:
        browser.get()
    assert len(browser.keys) == 1


def test_the_cookie_is_not_renewed_after_the_head_is_sent(daemon):
    d = daemon(SessionTime=3, WorkerThreads=1)
    browser = Browser(d)
    browser.set("1")
    late = d.script("function main() Flush() Session.GetVar('r', 'k') end")
    page = d.script("function main() Session.GetVar('r', 'k') end")
    begun = time.monotonic()
    while time.monotonic() < begun + 0.5:
        browser.serve(late)
    browser.serve(page)  # and is still due
    assert len(browser.keys) == 2 and browser.keys[0] == browser.keys[1]


def test_a_deleted_session_is_not_renewed(daemon):
    d = daemon(SessionTime=0.2, SessionMaxAge=60)
    browser = Browser(d)
    browser.set("1")
    page = d.script("""function main() if Session.GetVar("r", "k") == nil then return "gone" end
        Session.Delete() end""")
    begun = time.monotonic()
    wait_until(lambda: time.monotonic() > begun + 0.05, "the time to pass")
    response = browser.serve(page)
    assert response.text == "gone" or "Max-Age=0" in response.all("Set-Cookie")[0]
    assert len(response.all("Set-Cookie")) <= 1


# -- smuggling --

@pytest.mark.parametrize("header", [
    "lang=en,{n}={k}", "lang=en, {n}={k}", "lang=\"en\",{n}={k}", ",{n}={k}", "lang={n}={k}",
    "{n}x={k}", "x{n}={k}", "{n}=x{k}", "{n}=,{k}"])
def test_a_key_within_another_cookie_gives_no_session(web, browser, header):
    browser.set("'mine'")
    page = web.script("function main() return tostring(Session.GetVar('r', 'k')) end")
    assert web.get(page, HTTP_COOKIE=header.format(n=NAME, k=browser.key)).text == "nil"


@pytest.mark.parametrize("header", ['a="; {n}={k}; b="', '{n}="{k}"', "a=1,2;{n}={k}"])
def test_a_key_beside_odd_cookies_gives_its_session(web, browser, header):
    browser.set("'mine'")
    page = web.script("function main() return tostring(Session.GetVar('r', 'k')) end")
    assert web.get(page, HTTP_COOKIE=header.format(n=NAME, k=browser.key)).text == "mine"
