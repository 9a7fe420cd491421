"""A real browser, headless Chromium driven by chromium-driver, logs in at the sample site's
login page, reloads and logs out: through nginx, over plain http, and under a name that is
not localhost, for which a browser would make exceptions."""

import json
import os
import shutil
import subprocess
import urllib.error
import urllib.request

import pytest

import servers
from servers import wait_until

EXAMPLES = os.path.join(servers.ROOT, "scripts", "examples")
HOST = "pi.example"
PATIENCE = 60  # seconds: a browser takes its time on a busy machine
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # WebDriver section 12.1

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")


class WebDriver:
    """As much of W3C WebDriver as a login takes."""

    def __init__(self, directory):
        self.port = servers.free_port()
        self.log = os.path.join(directory, "chromedriver.log")
        self.session = None
        # HOME: what Chromium keeps outside its profile (crash reports, certificates).
        environment = dict(os.environ, HOME=directory, XDG_CONFIG_HOME=directory,
                           XDG_CACHE_HOME=directory, TMPDIR=directory)
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [DRIVER, "--port=%d" % self.port, "--allowed-ips=127.0.0.1"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        try:
            wait_until(self.ready, "chromedriver", PATIENCE)
            self.session = self.call("POST", "/session", {"capabilities": {"alwaysMatch": {
                "goog:chromeOptions": {"binary": CHROMIUM, "args": [
                    "--headless=new", "--no-sandbox", "--disable-gpu",
                    "--disable-dev-shm-usage", "--no-first-run",
                    "--disable-background-networking", "--disable-component-update",
                    "--user-data-dir=" + os.path.join(directory, "profile"),
                    "--host-resolver-rules=MAP %s 127.0.0.1" % HOST]}}}})["sessionId"]
        except BaseException:
            self.quit()
            raise

    def ready(self):
        assert self.process.poll() is None, servers.read(self.log)
        try:
            return self.call("GET", "/status")["ready"]
        except urllib.error.URLError:
            return False

    def call(self, method, path, body=None):
        request = urllib.request.Request(
            "http://127.0.0.1:%d%s" % (self.port, path), method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=PATIENCE) as response:
                return json.load(response)["value"]
        except urllib.error.HTTPError as problem:
            raise AssertionError("%s %s: %s" % (method, path, problem.read())) from problem

    def do(self, path, body=None, method="POST"):
        return self.call(method, "/session/%s%s" % (self.session, path),
                         {} if body is None and method == "POST" else body)

    def open(self, url):
        self.do("/url", {"url": url})

    def reload(self):
        self.do("/refresh")

    def text(self):
        return self.run("return document.body.innerText")

    def run(self, script):
        return self.do("/execute/sync", {"script": script, "args": []})

    def find(self, selector):
        return self.do("/element", {"using": "css selector", "value": selector})[ELEMENT]

    def type(self, selector, text):
        self.do("/element/%s/value" % self.find(selector), {"text": text})

    def click(self, selector):
        """Clicks what sends a form, and waits for the page that comes of it."""
        self.run("window.before = true")
        self.do("/element/%s/click" % self.find(selector))
        wait_until(lambda: self.run(
            "return !window.before && document.readyState === 'complete'"), "a page", PATIENCE)

    def cookies(self):
        return {cookie["name"]: cookie for cookie in self.do("/cookie", method="GET")}

    def quit(self):
        try:
            if self.session:
                self.do("", method="DELETE")  # ends Chromium
        finally:
            self.process.terminate()
            self.process.wait(PATIENCE)


@pytest.fixture
def browser(scratch):
    assert CHROMIUM and DRIVER, "needs the packages chromium and chromium-driver"
    driver = WebDriver(scratch())
    yield driver
    driver.quit()


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
