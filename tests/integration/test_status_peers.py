"""Who reads the status: a Prometheus through nginx, its tools, the alert rules and the
dashboard of etc/prometheus, and people with a browser."""

import base64
import json
import os
import re
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import pytest

import manual
import servers
from servers import wait_until

RULES = os.path.join(servers.ROOT, "etc", "prometheus")

needs_prometheus = pytest.mark.skipif(
    not os.environ.get("CI") and not shutil.which("prometheus"),
    reason="prometheus is not here")


@pytest.fixture
def watched(daemon, nginx, scratch):
    """A factory of daemons with a status, and nginx that passes it on as the manual says."""
    def start(**options):
        own = scratch() + "/status"
        server = daemon(StatusListen=own, StatusPath="/status", **options)
        web = nginx(server, keepalive=4, tcp=True, server="""
            location = /status {
                allow 127.0.0.1;
                deny all;
                include /etc/nginx/fastcgi_params;
                fastcgi_pass unix:%s;
            }""" % own)
        return server, web
    return start


def families(text):
    return set(re.findall(r"^# TYPE (\w+)", text, re.M))


def names_in(expression):
    return {re.sub(r"_(total|bucket)$", "", name)
            for name in re.findall(r"\bluafcgid2_\w+", expression)}


def test_rules_and_dashboard_name_metrics_that_there_are(watched):
    _, web = watched()
    web.get("/x.lua")
    there = families(web.get("/status?openmetrics&full").content.decode())
    assert len(there) > 40
    with open(RULES + "/luafcgid2.rules.yml", encoding="ascii") as f:
        rules = names_in("\n".join(re.findall(r"expr: (.*)", f.read())))
    with open(RULES + "/grafana-dashboard.json", encoding="ascii") as f:
        board = json.load(f)
    shown = names_in("\n".join(t["expr"] for p in board["panels"] for t in p["targets"]))
    assert len(rules) > 8 and len(shown) > 15
    for name in rules | shown:
        assert name in there or name.startswith("luafcgid2_script_"), name


@needs_prometheus
def test_promtool_accepts_and_tests_the_rules():
    for command in (["check", "rules", "luafcgid2.rules.yml"],
                    ["test", "rules", "luafcgid2.test.yml"],
                    ["check", "config", "--syntax-only", "prometheus.yml"]):
        done = subprocess.run(["promtool", *command], cwd=RULES, capture_output=True, text=True,
                              timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


class Prometheus:
    """One that scrapes a daemon through its web server."""

    def __init__(self, directory, web):
        self.log, self.port = directory + "/log", servers.free_port()
        with open(directory + "/prometheus.yml", "w", encoding="ascii") as f:
            f.write("global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
                    "scrape_configs:\n"
                    "  - job_name: luafcgid2\n"
                    "    metrics_path: /status\n"
                    "    params: {openmetrics: [''], full: ['']}\n"
                    "    static_configs: [{targets: ['127.0.0.1:%d']}]\n" % web.port)
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                ["prometheus", "--config.file=%s/prometheus.yml" % directory,
                 "--storage.tsdb.path=%s/data" % directory,
                 "--web.listen-address=127.0.0.1:%d" % self.port], stdout=log, stderr=log,
                env={"GOMAXPROCS": "1", "PATH": os.environ["PATH"], "HOME": directory})

    def query(self, expression):
        """The values; None: there is no answer."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        url = "http://127.0.0.1:%d/api/v1/query?query=%s" % (
            self.port, urllib.parse.quote(expression))
        try:
            with opener.open(url, timeout=servers.PATIENCE) as answer:
                found = json.load(answer)["data"]["result"]
        except urllib.error.HTTPError as refused:
            assert refused.code == 503, expression + ": " + refused.read().decode()
            return None  # it starts
        except OSError:
            return None
        return [float(series["value"][1]) for series in found]

    def until(self, expression, right, timeout=60):
        return wait_until(
            lambda: [v for v in [self.query(expression)] if v is not None and right(v)],
            "%s: %s, %s" % (expression, self.query(expression), servers.read(self.log)[-2000:]),
            timeout)[0]

    def stop(self):
        self.process.terminate()
        self.process.wait(servers.PATIENCE)


@pytest.fixture
def prometheus(scratch):
    started = []

    def start(web):
        started.append(Prometheus(scratch(), web))
        return started[-1]
    yield start
    for one in started:
        one.stop()


def test_each_alert_is_tested_to_fire_and_not_to():
    with open(RULES + "/luafcgid2.rules.yml", encoding="ascii") as f:
        alerts = set(re.findall(r"- alert: (\w+)", f.read()))
    with open(RULES + "/luafcgid2.test.yml", encoding="ascii") as f:
        tests = re.findall(r"alertname: (\w+),?\s+exp_alerts:( \[\])?", f.read())
    assert len(alerts) > 10
    assert {name for name, none in tests if none} == alerts
    assert {name for name, none in tests if not none} == alerts


@needs_prometheus
def test_a_prometheus_scrapes_what_a_client_counted(watched, site, prometheus):
    """And each of the manual's expressions gives something."""
    site.write("a.lua", "function main() Send('x') end")
    site.write("b.lua", "kept = {} function main() kept[#kept + 1] = ('x'):rep(9999) error('b') end")
    daemon, web = watched(LuaMaxErrors=0)
    daemon.any_errors = True
    for _ in range(37):
        assert web.get("/a.lua").status == 200
    server = prometheus(web)
    server.until("luafcgid2_requests_total", lambda v: v == [37])
    for expression in ('luafcgid2_responses_total{class="2xx"}',
                       'luafcgid2_script_requests_total{script=~".*/a.lua"}',
                       "luafcgid2_answer_seconds_count",
                       'luafcgid2_answer_seconds_bucket{le="+Inf"}'):
        server.until(expression, lambda v: v == [37])  # one that is late leaves a gap

    shown = [expression for text in manual.sections(
        manual.rendered("luafcgid2.8"), "OPERATING").values()
        for expression in manual.expressions(text)]
    assert len(shown) == 5
    for expression in shown:
        def told(values):
            assert web.get("/a.lua").status == 200 and web.get("/b.lua").status == 500
            return any(value > 0 for value in values)
        server.until(expression, told)


def picture(browser):
    return base64.b64decode(browser.do("/screenshot", method="GET"))


# What is wider than its place, and does not say so by three dots.
SPILLS = """return [...document.querySelectorAll('.tile *, .worker *, li *, h2, .bar *')].filter(
    e => e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== 'inline' &&
        getComputedStyle(e).textOverflow !== 'ellipsis').map(e => e.textContent)"""
# Text that has less contrast than WCAG 2.1 asks for (1.4.3).
FAINT = """
    const light = c => {
        const [r, g, b] = c.match(/[\\d.]+/g).map(v => v / 255).map(
            v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const back = e => {
        const c = getComputedStyle(e).backgroundColor;
        return c === 'rgba(0, 0, 0, 0)' && e.parentElement ? back(e.parentElement) : c;
    };
    return [...document.querySelectorAll('body *')].filter(
        e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) && e.checkVisibility() &&
            e.tagName !== 'SCRIPT').filter(e => {
        const style = getComputedStyle(e);
        const [a, b] = [light(e.closest('svg') ? style.fill : style.color), light(back(e))].sort(
            (x, y) => y - x);
        return (a + 0.05) / (b + 0.05) < 4.5;
    }).map(e => e.textContent)"""


@pytest.mark.parametrize("scheme, width, height, mobile", [
    ("light", 1500, 1000, False), ("dark", 1500, 1000, False),
    ("light", 390, 844, True), ("dark", 390, 844, True)])
def test_the_page_shows_what_happens(watched, site, browser, scheme, width, height, mobile):
    daemon, web = watched(WorkerThreads=2)
    name = "<i>&\"'.lua"
    site.write(name, "function main() error('<img src=x onerror=document.title=1>') end")
    site.write("good.lua", "function main() Send('x') end")
    for _ in range(3):
        daemon.get(name, SCRIPT_NAME="/" + name, REQUEST_URI="/<script>alert(1)</script>")
    for _ in range(5):
        daemon.get("good.lua")
    daemon.expect_error("onerror")
    browser.looks(scheme, width, height, mobile)
    browser.open("http://127.0.0.1:%d/status?html" % web.port)
    wait_until(lambda: "live" in browser.text(), "the page to be live", 60)
    text = browser.text()
    assert "8 requests" in text and "<img src=x onerror=document.title=1>" in text
    assert "/<script>alert(1)</script>" in text and "/" + name in text
    assert browser.run("return document.title") == "luafcgid2"
    assert browser.run("return document.querySelectorAll('main img, main script').length") == 0
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth") is True
    assert browser.run(SPILLS) == []
    assert browser.run(FAINT) == []
    back = browser.run("return getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", back)[:3])) < 200) == (scheme == "dark")
    shot = picture(browser)
    assert shot.startswith(b"\x89PNG") and len(shot) > 10000
    if os.environ.get("SCREENSHOTS"):
        with open("%s/status-%s-%d.png" % (os.environ["SCREENSHOTS"], scheme, width), "wb") as f:
            f.write(shot)

    # It refreshes itself, and nothing is made anew that is there already, nor moves.
    browser.run("window.row = document.querySelector('#scripts tbody tr')")
    places = "return [...document.querySelectorAll('section')].map(s => s.offsetTop)"
    before = browser.run(places)
    for _ in range(4):
        daemon.get("good.lua")
    wait_until(lambda: "12 requests" in browser.text(), "the page to refresh", 60)
    assert browser.run("return window.row === document.querySelector('#scripts tbody tr')")
    assert browser.run(places) == before

    # Columns sort, by the mouse and by the keyboard.
    def first():
        return browser.run("return document.querySelector('#scripts tbody td').textContent")
    button = "[...document.querySelectorAll('#scripts th button')].find(b => b.textContent == '%s')"
    assert first() == "/good.lua"
    browser.run("(%s).click()" % (button % "errors"))
    assert first() == "/" + name
    browser.run("(%s).focus()" % (button % "script"))
    for press, shown, sort in (" ", "/" + name, "ascending"), (" ", "/good.lua", "descending"):
        for kind in "keyDown", "keyUp":
            browser.devtools("Input.dispatchKeyEvent", type=kind, key=press, text=press,
                             code="Space", windowsVirtualKeyCode=32)
        assert first() == shown
        assert browser.run("return document.querySelector('[aria-sort]').ariaSort") == sort
    assert browser.run("return document.activeElement.textContent") == "script"


def test_the_page_keeps_the_end_of_a_long_path_and_adds_up_errors(watched, site, browser):
    daemon, web = watched(WorkerThreads=2)
    name = "a" * 90 + "/" + "b" * 90 + "/page.lua"
    site.write(name, "function main() error('no such table') end")
    for number in range(7):
        daemon.get(name, query="n=%d" % number)
    daemon.expect_error("no such table")
    browser.looks("light", 390, 844, True)
    browser.open("http://127.0.0.1:%d/status?html" % web.port)
    wait_until(lambda: "live" in browser.text(), "the page to be live", 60)
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth") is True
    end = "document.querySelector('#scripts tbody td b')"
    assert browser.run("return %s.textContent" % end) == "page.lua"
    assert browser.run("return %s.scrollWidth <= %s.clientWidth" % (end, end)) is True
    assert browser.run("return document.querySelectorAll('#errors li').length") == 1
    text = browser.run("return document.getElementById('errors').innerText")
    assert text.startswith("7 \u00d7") and "n=6" in text and "n=5" not in text


def test_the_page_fills_a_wall_and_lists_many_workers(watched, browser):
    _, web = watched(WorkerThreads=64)
    browser.looks("dark", 3840, 2160, False)
    browser.open("http://127.0.0.1:%d/status?html" % web.port)
    wait_until(lambda: "live" in browser.text(), "the page to be live", 60)
    assert browser.run("return document.querySelectorAll('.worker').length") == 64
    size, wide = browser.run("return [parseFloat(getComputedStyle(document.body).fontSize),"
                             "document.querySelector('main').clientWidth]")
    assert size > 25 and wide > 3000
    assert browser.run(SPILLS) == [] and browser.run(FAINT) == []


def test_the_page_says_when_there_is_no_answer(watched, browser):
    _, web = watched()
    browser.open("http://127.0.0.1:%d/status?html" % web.port)
    wait_until(lambda: "live" in browser.text(), "the page to be live", 60)
    web.any_errors = True
    web.stop()
    wait_until(lambda: "no answer" in browser.text(), "the page to say so", 60)
