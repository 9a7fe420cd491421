"""Who reads the status: a Prometheus through nginx, its tools, the alert rules and the
dashboard of etc/prometheus, and people with a browser."""

import base64
import json
import os
import re
import shutil
import subprocess
import urllib.parse
import urllib.request

import pytest

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


@needs_prometheus
@pytest.mark.not_under("thread", "address", reason="Prometheus needs the processors")
def test_a_prometheus_scrapes_what_a_client_counted(watched, site, scratch):
    site.write("a.lua", "function main() Send('x') end")
    _, web = watched()
    for _ in range(37):
        assert web.get("/a.lua").status == 200
    directory, port = scratch(), servers.free_port()
    with open(directory + "/prometheus.yml", "w", encoding="ascii") as f:
        f.write("global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
                "scrape_configs:\n"
                "  - job_name: luafcgid2\n"
                "    metrics_path: /status\n"
                "    params: {openmetrics: [''], full: ['']}\n"
                "    static_configs: [{targets: ['127.0.0.1:%d']}]\n" % web.port)
    with open(directory + "/log", "wb") as log:
        prometheus = subprocess.Popen(
            ["prometheus", "--config.file=%s/prometheus.yml" % directory,
             "--storage.tsdb.path=%s/data" % directory,
             "--web.listen-address=127.0.0.1:%d" % port], stdout=log, stderr=log,
            env={"GOMAXPROCS": "1", "PATH": os.environ["PATH"], "HOME": directory})

    def query(expression):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        url = "http://127.0.0.1:%d/api/v1/query?query=%s" % (
            port, urllib.parse.quote(expression))
        try:
            with opener.open(url, timeout=servers.PATIENCE) as answer:
                found = json.load(answer)["data"]["result"]
        except OSError:
            return None
        return [float(series["value"][1]) for series in found]
    try:
        assert wait_until(lambda: query("up == 1"), "a scrape: " +
                          servers.read(directory + "/log"), 60) == [1]
        assert query("luafcgid2_requests_total") == [37]
        assert query('luafcgid2_responses_total{class="2xx"}') == [37]
        assert query('luafcgid2_script_requests_total{script=~".*/a.lua"}') == [37]
        assert query("luafcgid2_answer_seconds_count") == [37]
        assert query('luafcgid2_answer_seconds_bucket{le="+Inf"}') == [37]
    finally:
        prometheus.terminate()
        prometheus.wait(servers.PATIENCE)


def picture(browser):
    return base64.b64decode(browser.do("/screenshot", method="GET"))


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
    assert browser.run("return document.querySelectorAll('main img, main i:not(.bar i)').length") == 0
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth") is True
    back = browser.run("return getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", back)[:3])) < 200) == (scheme == "dark")
    shot = picture(browser)
    assert shot.startswith(b"\x89PNG") and len(shot) > 10000
    if os.environ.get("SCREENSHOTS"):
        with open("%s/status-%s-%d.png" % (os.environ["SCREENSHOTS"], scheme, width), "wb") as f:
            f.write(shot)

    # It refreshes itself, and nothing is made anew that is there already.
    browser.run("window.row = document.querySelector('#scripts tbody tr')")
    for _ in range(4):
        daemon.get("good.lua")
    wait_until(lambda: "12 requests" in browser.text(), "the page to refresh", 60)
    assert browser.run("return window.row === document.querySelector('#scripts tbody tr')")

    # Columns sort.
    def first():
        return browser.run("return document.querySelector('#scripts tbody td').textContent")
    assert first() == "/good.lua"
    browser.run("document.querySelectorAll('#scripts th button')[2].click()")  # errors
    assert first() == "/" + name
    browser.run("document.querySelectorAll('#scripts th button')[2].click()")
    assert first() == "/good.lua"


def test_the_page_says_when_there_is_no_answer(watched, browser):
    _, web = watched()
    browser.open("http://127.0.0.1:%d/status?html" % web.port)
    wait_until(lambda: "live" in browser.text(), "the page to be live", 60)
    web.any_errors = True
    web.stop()
    wait_until(lambda: "no answer" in browser.text(), "the page to say so", 60)
