"""A real browser: headless Chromium, driven by chromium-driver."""

import json
import os
import shutil
import subprocess
import urllib.error
import urllib.request

import servers
from servers import wait_until

HOST = "pi.example"  # a name that is not localhost, for which a browser makes exceptions
PATIENCE = 60        # seconds: a browser takes its time on a busy machine
START = 180          # as long as that: chromedriver gives up earlier by itself
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # WebDriver section 12.1

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")


class WebDriver:
    """As much of W3C WebDriver as the tests take."""

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
            self.session = self.begin(directory)
        except BaseException:
            self.quit()
            raise

    def ready(self):
        assert self.process.poll() is None, servers.read(self.log)
        try:
            return self.call("GET", "/status")["ready"]
        except OSError:  # also when it ends the connection that it has just accepted
            return False

    def begin(self, directory):
        """The id of a session. Chromium, which is no part of what is tested, may take longer
        to start than chromedriver waits for it."""
        for attempt in range(3):
            try:
                return self.call("POST", "/session", {"capabilities": {"alwaysMatch": {
                    "goog:chromeOptions": {"binary": CHROMIUM, "args": [
                        "--headless=new", "--no-sandbox", "--disable-gpu",
                        "--disable-dev-shm-usage", "--no-first-run",
                        "--disable-background-networking", "--disable-component-update",
                        "--user-data-dir=" + os.path.join(directory, "profile%d" % attempt),
                        "--host-resolver-rules=MAP %s 127.0.0.1" % HOST]}}}},
                                 START)["sessionId"]
            except AssertionError as problem:
                failure = problem
        raise failure

    def call(self, method, path, body=None, patience=PATIENCE):
        request = urllib.request.Request(
            "http://127.0.0.1:%d%s" % (self.port, path), method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=patience) as response:
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
        wait_until(self.has_come, "a page", PATIENCE)

    def has_come(self):
        try:
            return self.run("return !window.before && document.readyState === 'complete'")
        except AssertionError:  # it went to the next page while it ran this
            return False

    def looks(self, scheme, width, height, mobile):
        """From now on it prefers "light" or "dark", and its window has that size."""
        self.devtools("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": scheme}])
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height,
                      deviceScaleFactor=1, mobile=mobile)

    def devtools(self, command, **parameters):
        return self.do("/goog/cdp/execute", {"cmd": command, "params": parameters})

    def cookies(self):
        return {cookie["name"]: cookie for cookie in self.do("/cookie", method="GET")}

    def quit(self):
        try:
            if self.session:
                self.do("", method="DELETE")  # ends Chromium
        finally:
            self.process.terminate()
            self.process.wait(PATIENCE)
