"""The status, as text, JSON and metrics: it is what clients counted, and php-fpm's readers
can read it."""

import collections
import concurrent.futures
import json
import os
import re
import signal
import subprocess
import threading
import time

import pytest

import fastcgi
import phpfpm
import servers
from servers import wait_until

PHP = ["pool", "process manager", "start time", "start since", "accepted conn", "listen queue",
       "max listen queue", "listen queue len", "idle processes", "active processes",
       "total processes", "max active processes", "max children reached", "slow requests",
       "memory peak"]
PROCESS = ["pid", "state", "start time", "start since", "requests", "request duration",
           "request method", "request uri", "content length", "user", "script",
           "last request cpu", "last request memory"]


DAEMON = {"StatusPath": "/status", "PingPath": "/ping"}


@pytest.fixture
def watched(daemon):
    """A factory of daemons with a status."""
    def start(**options):
        return daemon(**{"StatusPath": "/status", "PingPath": "/ping", **options})
    return start


def tell(daemon, query="", **params):
    """The status, asked for by a path that is no script."""
    response = daemon.request("/status", query=query, SCRIPT_FILENAME=None, **params)
    assert response.status == 200, response
    assert response.header("Cache-Control") == "no-store"
    return response.text


def figures(daemon, query="json&full"):
    return json.loads(tell(daemon, query), object_pairs_hook=collections.OrderedDict)


def samples(text):
    """Name with labels -> value, of metrics."""
    found = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            assert name not in found, "told twice: " + name
            found[name] = float(value)
    return found


def metrics(daemon, query="openmetrics&full"):
    return samples(tell(daemon, query))


# -- What is asked for --


def test_the_path_is_compared_with_script_name(web):
    daemon = web
    assert daemon.request("/status").text.startswith("pool:  ")
    assert daemon.request("/status/").status == 404
    assert daemon.request("/statu").status == 404
    other = daemon.request("/x.lua", SCRIPT_NAME="/status")
    assert other.text.startswith("pool:  ")


def test_without_script_name_it_is_the_path_of_request_uri(web):
    response = web.request("/x.lua", SCRIPT_NAME=None, REQUEST_URI="/status?json",
                                  QUERY_STRING="json")
    assert json.loads(response.text)["pool"] == "luafcgid2"
    response = web.request("/x.lua", SCRIPT_NAME="/other.lua", REQUEST_URI="/status")
    assert response.status == 404


def test_ping(web):
    response = web.request("/ping", SCRIPT_FILENAME=None)
    assert (response.status, response.text) == (200, "pong")
    assert response.header("Content-Type").startswith("text/plain")


def test_what_ping_answers_can_be_set(watched, site):
    daemon = watched(PingResponse="all is well")
    assert daemon.request("/ping").text == "all is well"
    daemon.reload(PingResponse="still", PingPath="/other")
    wait_until(lambda: daemon.request("/other").text == "still", "the new path")
    assert daemon.request("/ping").status == 404


def test_both_are_off_by_default(daemon, site):
    daemon = daemon()
    for path in "/status", "/ping", "/", "":
        assert daemon.request(path, SCRIPT_NAME=path).status == 404


def test_a_path_that_is_none_is_a_mistake(daemon, scratch):
    for wrong in "status", "/a b", "/a?json", "/ä":
        config = os.path.join(scratch(), "config.lua")
        with open(config, "w", encoding="utf-8") as f:
            f.write('StatusPath = "%s"\n' % wrong)
        done = subprocess.run([servers.BINARY, "-t", "-c", config], capture_output=True,
                              text=True, timeout=60, check=False)
        assert done.returncode != 0 and "StatusPath: expected a path" in done.stderr


@pytest.mark.parametrize("query, kind", [
    ("", "text/plain"), ("full", "text/plain"), ("json", "application/json"),
    ("full&json", "application/json"), ("json=&full=", "application/json"),
    ("openmetrics", "application/openmetrics-text"), ("html", "text/html"),
    ("jsonx", "text/plain")])
def test_the_query_says_how(web, query, kind):
    response = web.request("/status", query=query)
    assert response.header("Content-Type").split(";")[0] == kind


def test_head_has_no_body(web):
    response = web.request("/status", method="HEAD")
    assert response.status == 200 and response.text == ""


# -- php-fpm's readers --


def text_pairs(text):
    """As those read it that split lines at their first colon."""
    return [(key, value.strip()) for key, _, value in
            (line.partition(":") for line in text.splitlines()) if value]


def test_php_fpms_keys_come_first_and_in_its_order(web):
    assert [key for key, _ in text_pairs(tell(web))][:len(PHP)] == PHP
    assert list(figures(web, "json"))[:len(PHP)] == PHP
    full = figures(web)
    assert list(full)[:len(PHP) + 1] == PHP + ["processes"]
    for process in full["processes"]:
        assert list(process)[:len(PROCESS)] == PROCESS


def test_no_other_line_has_one_of_its_keys(web):
    keys = collections.Counter(key for key, _ in text_pairs(tell(web)))
    assert len(keys) > 50 and all(count == 1 for count in keys.values()), keys


def test_full_text_has_a_block_for_each_worker(web):
    blocks = tell(web, "full").split("\n************************\n")
    assert len(blocks) == 1 + figures(web, "json")["total processes"]
    for block in blocks[1:]:
        keys = [key for key, _ in text_pairs(block)]
        assert keys[:len(PROCESS)] == [k.replace("uri", "URI") for k in PROCESS]


def test_json_has_the_types_that_php_fpm_writes(web):
    full = figures(web)
    for key in PHP:
        assert isinstance(full[key], str if key in PHP[:2] else int), key
    for process in full["processes"]:
        for key in PROCESS:
            kind = (str if key in ("state", "request method", "request uri", "user", "script")
                    else (int, float) if key == "last request cpu" else int)
            assert isinstance(process[key], kind), key
        assert process["state"] in ("Idle", "Running")


def test_php_fpms_own_text_is_read_alike(web, scratch):
    """php-fpm beside it: the same keys by the same spelling."""
    with phpfpm.status(scratch(), web.site) as ask:
        theirs = json.loads(wait_until(lambda: ask("json&full"), "php-fpm"),
                            object_pairs_hook=collections.OrderedDict)
        ours = figures(web)
        newer = {"memory peak"}  # of php-fpm 8.4
        assert [k for k in ours if k in theirs] == list(theirs)
        assert set(PHP) - set(theirs) <= newer
        assert list(ours["processes"][0])[:len(PROCESS)] == list(theirs["processes"][0])
        text = [key for key, _ in text_pairs(ask("full"))]
        assert set(text) <= {key for key, _ in text_pairs(tell(web, "full"))}


# -- Figures --


def test_requests_are_counted_by_their_class(watched, site):
    daemon = watched(WorkerThreads=1)
    page = daemon.script("function main() RespStatus(tonumber(Env.QUERY_STRING)) Send('x') end")
    for status in 200, 200, 201, 302, 404, 404, 404, 503:
        assert daemon.get(page, str(status)).status == status
    assert daemon.get("none.lua").status == 404
    seen = metrics(daemon)
    assert [seen['luafcgid2_responses_total{class="%dxx"}' % n] for n in (2, 3, 4, 5)] == [
        3, 1, 4, 1]
    assert seen["luafcgid2_requests_total"] == 9 == seen["luafcgid2_answer_seconds_count"]
    assert seen["luafcgid2_errors_total"] == 0


def test_errors_are_told_with_their_text(watched, site):
    daemon = watched(WorkerThreads=1)
    page = daemon.script("function main() error('<broken> \"here\" \\xff') end")
    assert daemon.get(page, "a=<b>").status == 500
    daemon.expect_error("broken")
    full = figures(daemon)
    assert full["requests"]["errors"] == 1
    error, = full["last errors"]
    assert (error["status"], error["uri"]) == (500, "/%s?a=<b>" % page)
    assert error["message"].endswith('<broken> "here" \ufffd')
    assert abs(error["time"] - time.time()) < 60
    script, = full["scripts"]
    assert (script["errors"], script["hits"], script["loads"]) == (1, 1, 1)
    assert script["last error"] == error["message"]
    assert page in script["script"]
    samples(tell(daemon, "openmetrics&full"))
    assert "\\xff" not in tell(daemon, "full").split("last errors")[0]


def test_the_status_and_ping_are_not_counted(watched, site):
    daemon = watched()
    for _ in range(3):
        tell(daemon)
        daemon.request("/ping")
    seen = figures(daemon)
    assert (seen["accepted conn"], seen["active processes"], seen["requests"]["sent bytes"]) == (
        0, 0, 0)


def test_a_worker_tells_its_request(watched, site):
    daemon = watched(WorkerThreads=2)
    page = daemon.script("function main() Flush() %s Send('end') end" % servers.BLOCK)
    with daemon.hold(page, query="q=1", REMOTE_USER="alice", CONTENT_LENGTH="7") as connection:
        def busy():
            full = figures(daemon)
            found = [p for p in full["processes"] if p["state"] == "Running"]
            return found if found and found[0]["doing"] == "waiting" else None
        process, = wait_until(busy, "the worker to wait for the body")
        assert process["request method"] == "POST"
        assert process["request uri"] == "/%s?q=1" % page
        assert process["content length"] == 7 and process["user"] == "alice"
        assert process["script"] == site.path(page)
        assert figures(daemon)["active processes"] == 1
        before = process["request duration"]
        wait_until(lambda: busy()[0]["request duration"] > before, "time to pass")
        connection.body(b"1234567").end()
        connection.response()
    wait_until(lambda: figures(daemon)["active processes"] == 0, "the worker to be free")
    idle = [p for p in figures(daemon)["processes"] if p["requests"] == 1]
    assert idle[0]["request uri"].endswith("?q=1") and idle[0]["last request memory"] > 1000


def test_each_worker_tells_its_bytes(watched, site):
    daemon = watched(WorkerThreads=3)
    page = daemon.script("function main() Send(('x'):rep(#Receive())) end")
    def ask(n):
        response = daemon.request("/" + page, "POST", body=b"y" * n)
        assert response.text == "x" * n
    sizes = [1000 * n for n in range(1, 31)]
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        list(pool.map(ask, sizes))
    wait_until(lambda: figures(daemon)["active processes"] == 0, "the workers to be free")
    seen = figures(daemon)
    received, sent = (sum(p[key] for p in seen["processes"])
                      for key in ("received bytes", "sent bytes"))
    assert received == seen["requests"]["received bytes"] == sum(sizes)
    assert sent == seen["requests"]["sent bytes"] > sum(sizes)
    counted = metrics(daemon)
    for key, total in ("received", received), ("sent", sent):
        assert sum(v for k, v in counted.items()
                   if k.startswith("luafcgid2_worker_%s_bytes_total{" % key)) == total
    assert sum(int(line.split()[-1]) for line in tell(daemon, "full").splitlines()
               if line.startswith("sent bytes:")) == sent


def test_states_are_told_by_script(watched, site):
    daemon = watched(WorkerThreads=2, LuaMaxStates=2, LuaTotalStates=2)
    pages = [daemon.script("local t = ('x'):rep(1000000) function main() Send(#t) end")
             for _ in range(3)]
    for page in pages:
        assert daemon.get(page).status == 200
    def at_rest():
        full = figures(daemon)
        return full if full["states"]["busy"] == 0 else None
    full = wait_until(at_rest, "the states to be checked in")
    assert full["states"]["idle"] == 2 and full["states"]["loads"] == 3
    assert full["states"]["evictions"] == 1 == sum(s["evictions"] for s in full["scripts"])
    assert full["states"]["memory"] > 2000000
    assert sum(s["memory"] for s in full["scripts"]) == full["states"]["memory"]
    assert full["limits"]["LuaTotalStates"] == 2


def test_every_script_that_is_named_is_one_of_a_hundred(watched, site):
    daemon = watched(LuaTotalStates=200)
    pages = [daemon.script("function main() end") for _ in range(120)]
    for page in pages:
        assert daemon.get(page).status == 200
    for page in pages[-30:]:
        assert daemon.get(page).status == 200
    named = [s["script"] for s in figures(daemon)["scripts"]]
    assert len(named) == 100 and {site.path(p) for p in pages[-30:]} <= set(named)
    assert len([m for m in metrics(daemon) if "script_requests" in m]) == 100


def test_texts_of_clients_break_no_form(watched, site):
    daemon = watched(WorkerThreads=1)
    page = daemon.script("function main() error('x') end")
    for uri in '/"\\\n<script>\x01\x7f', "/\u00e4\u20ac\U0001f600", "/" + "a" * 5000:
        daemon.get(page, REQUEST_URI=uri, REMOTE_USER=uri)
        process = figures(daemon)["processes"][0]
        assert uri.startswith(process["request uri"].rstrip("\ufffd"))
        text = tell(daemon, "full")
        assert all(c == "\n" or c >= " " for c in text)
    daemon.expect_error(": x")
    daemon.get(page, REQUEST_URI=b"/\xff\xc3", REMOTE_USER=b"\xe2\x82")
    assert figures(daemon)["processes"][0]["request uri"] == "/\ufffd\ufffd"


def test_requests_that_wait_are_told(watched, site):
    daemon = watched(WorkerThreads=1, WorkerThreadsMax=1, MaxWaiting=7)
    page = daemon.script("function main() Flush() Sleep(tonumber(Env.QUERY_STRING)) end")
    with daemon.open(page, query="600") as client:
        client.end()
        client.read_until("\r\n\r\n")
        full = wait_until(
            lambda: [f for f in [figures(daemon)] if f["requests"]["waiting"] == 1],
            "the request to wait")[0]
        assert full["scripts"][0]["waiting"] == 1 == full["states"]["waiting"]
        assert full["active processes"] == 0 and full["limits"]["MaxWaiting"] == 7
    full = wait_until(
        lambda: [f for f in [figures(daemon)] if f["states"]["busy"] == 0],
        "the end of the request")[0]
    assert full["requests"]["waiting"] == 0 == full["scripts"][0]["waiting"]
    assert full["accepted conn"] == 1 == full["requests"]["client gone"]
    assert daemon.get(page, "0").status == 200
    assert figures(daemon)["states"]["waiting"] in (0, 1)
    wait_until(lambda: figures(daemon)["states"]["waiting"] == 0, "the state to be back")


def test_channels_are_told(watched, site):
    daemon = watched(WorkerThreads=1, WorkerThreadsMax=1, SubscriptionMaxSize=1000)
    page = daemon.script("""function main()
        local sub = Subscribe("news", "other")
        for i = 1, 20 do Publish("news", ("x"):rep(100)) end
        Publish("nobody listens", "x")
        Send("begun") Flush() Sleep(600) end""")
    with daemon.open(page, "GET") as client:
        client.end()
        client.read_until("begun")
        # Each takes 200 bytes of the 1000, so the last five are there.
        assert figures(daemon)["channels"] == {
            "open": 2, "subscriptions": 2, "published": 20, "lost": 15, "waiting": 1000}
        seen = metrics(daemon)
        assert seen["luafcgid2_channel_messages_total"] == 20
        assert seen["luafcgid2_channel_messages_lost_total"] == 15
        assert seen["luafcgid2_channel_subscriptions"] == 2
        assert re.search(r"^channels lost: +15$", tell(daemon), re.M)
    wait_until(lambda: figures(daemon)["channels"] == {
        "open": 0, "subscriptions": 0, "published": 20, "lost": 15, "waiting": 0},
        "the subscription to end")


def test_every_maximum_is_told(watched, site):
    """Of every option whose name says so, and of those that bound something else."""
    limits = figures(watched())["limits"]
    with open(os.path.join(servers.ROOT, "config", "option.c"), encoding="utf-8") as f:
        names = re.findall(r'\.name = "(\w+)"', f.read())
    assert {name for name in names if "Max" in name or name.endswith(("Timeout", "Limit"))
            } - set(limits) <= {"LuaMaxSearchRetries"}
    assert {"WorkerThreads", "LuaTotalStates", "Backlog", "SessionTime", "Watchdog"} <= set(limits)


# -- Metrics --


def test_each_metric_has_its_head_and_its_samples_stand_together(web):
    text = tell(web, "openmetrics&full")
    assert text.endswith("# EOF\n") and text.count("# EOF") == 1
    seen, family, kind = set(), None, None
    for line in text.splitlines()[:-1]:
        if line.startswith("# TYPE "):
            family, kind = line.split()[2:]
            assert family not in seen and re.fullmatch(r"luafcgid2_[a-z0-9_]+", family)
            seen.add(family)
        elif line.startswith("#"):
            assert line.split()[2] == family
            if line.startswith("# UNIT "):
                assert family.endswith("_" + line.split()[3])
        else:
            name = re.match(r"[a-z0-9_]+", line).group()
            suffixes = {"counter": ["_total"], "gauge": [""],
                        "histogram": ["_bucket", "_sum", "_count"]}[kind]
            assert name in [family + s for s in suffixes], line


def promtool(*arguments, text):
    return subprocess.run(["promtool", *arguments], input=text, capture_output=True, text=True,
                          timeout=60, check=False)


def needs(program):
    return pytest.mark.skipif(
        not os.environ.get("CI") and subprocess.run(
            ["which", program], capture_output=True, check=False).returncode != 0,
        reason=program + " is not here")


@needs("promtool")
def test_promtool_accepts_the_metrics(web, scratch):
    web.main("Send('x')")
    plain = web.request("/status", query="openmetrics&full",
                               HTTP_ACCEPT="text/plain;version=0.0.4")
    assert plain.header("Content-Type").startswith("text/plain; version=0.0.4")
    done = promtool("check", "metrics", text=plain.text)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    # It reads OpenMetrics only with times, as a file to import.
    text = re.sub(r"^([^#\n]+)$", r"\1 1700000000.0", tell(web, "openmetrics&full"),
                  flags=re.M)
    directory = scratch()
    with open(directory + "/metrics", "w", encoding="utf-8") as f:
        f.write(text)
    done = promtool("tsdb", "create-blocks-from", "openmetrics", directory + "/metrics",
                    directory + "/blocks", text="")
    assert done.returncode == 0, done.stdout + done.stderr


# -- StatusListen --


def test_status_listen_answers_while_every_worker_is_stuck(watched, site, scratch):
    own = scratch() + "/status"
    daemon = watched(StatusListen=own, WorkerThreads=2, WorkerThreadsMax=2, RequestTimeout=0)
    page = daemon.script("function main() Flush() %s Send('x') end" % servers.BLOCK)
    held = [daemon.hold(page) for _ in range(2)]
    waiting = [daemon.open(page) for _ in range(3)]
    for client in waiting:
        client.end()

    def ask():
        begun = time.monotonic()
        response = fastcgi.request(own, site.params("/any", query="json&full"))
        return json.loads(response.text), time.monotonic() - begun

    def jam():
        seen, _ = ask()
        return seen if seen["listen queue"] == 3 else None
    seen = wait_until(jam, "three requests to wait: %r" % ask()[0])
    assert (seen["active processes"], seen["idle processes"]) == (2, 0)
    wait_until(lambda: ask()[1] < 0.05, "an answer at once")
    for connection in held:
        connection.end()
        connection.response()
        connection.close()
    for connection in waiting:
        assert connection.response().status == 200
        connection.close()
    seen, _ = ask()
    assert seen["accepted conn"] == 5 and seen["max listen queue"] >= 3
    queued = seen["requests"]["time queued"]
    assert sum(n for _, n in queued["ranges"]) == 5 and queued["sum"] > 0


def test_who_is_silent_at_status_listen_does_not_delay_the_end(daemon, scratch):
    """Nor keeps the sessions from being saved."""
    own, sessions = scratch() + "/status", scratch() + "/sessions"
    d = daemon(StatusListen=own, SessionFile=sessions)
    assert d.run("function main() Session.SetVar('r', 'k', 'kept') end").status == 200
    with fastcgi.Connection(own), fastcgi.Connection(own).send(b"\1\1\0"):
        d.process.terminate()
        assert d.wait() == 0
    with open(sessions, "rb") as f:
        assert b"kept" in f.read()


def test_status_listen_goes_with_the_daemon(watched, site, scratch):
    own = scratch() + "/status"
    daemon = watched(StatusListen=own, StatusPath=None)
    assert daemon.request("/status").status == 404  # what serves has opened all its sockets
    assert os.stat(own).st_mode & 0o777 == 0o660
    assert fastcgi.request(own, site.params("/")).text.startswith("pool:")
    daemon.stop()
    assert not os.path.exists(own)


def test_status_listen_that_is_taken_stops_the_start(daemon, scratch):
    own = scratch() + "/status"
    with open(own, "w", encoding="ascii"):
        pass
    config = scratch() + "/config.lua"
    with open(config, "w", encoding="ascii") as f:
        f.write('Listen = "%s/s" LogFilePath = "" StatusListen = "%s"' % (
            os.path.dirname(config), own))
    done = subprocess.run([servers.BINARY, "-c", config], capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode != 0
    assert "set StatusListen to another path" in done.stderr
    assert not os.path.exists(os.path.dirname(config) + "/s")


# -- Under load --


def test_figures_agree_with_what_64_clients_counted(watched, site):
    daemon = watched(WorkerThreads=4, LuaMaxRequests=50, LuaTotalStates=8, SessionTime=60)
    daemon.any_errors = True
    pages = [daemon.script("function main() Send('x') end"),
             daemon.script("function main() RespStatus(404) end"),
             daemon.script("function main() error('e') end")]
    counted, lock, stop = collections.Counter(), threading.Lock(), threading.Event()

    def client(number):
        mine = collections.Counter()
        while not stop.is_set():
            mine[daemon.get(pages[number % 3]).status] += 1
        with lock:
            counted.update(mine)

    def watch():
        last = collections.Counter()
        while not stop.is_set():
            seen = metrics(daemon, "openmetrics")
            assert seen["luafcgid2_workers_idle"] + seen["luafcgid2_workers_active"] == \
                seen["luafcgid2_workers"]
            assert seen["luafcgid2_requests_total"] == sum(
                v for k, v in seen.items() if "luafcgid2_responses_total" in k)
            for name, value in seen.items():
                if name.partition("{")[0].endswith("_total"):
                    assert value >= last[name], name
                    last[name] = value
    with concurrent.futures.ThreadPoolExecutor(65) as pool:
        jobs = [pool.submit(client, n) for n in range(64)] + [pool.submit(watch)]
        for _ in range(3):
            daemon.reload(LuaMaxErrors=2)
            daemon.site.write(pages[0], "function main() Send('y') end")
            daemon.signal(signal.SIGUSR1)
        stop.wait(2)
        stop.set()
        for job in jobs:
            job.result()
    seen = metrics(daemon)
    assert sum(counted.values()) > 100
    assert seen["luafcgid2_requests_total"] == sum(counted.values())
    for n, status in (2, 200), (4, 404), (5, 500):
        assert seen['luafcgid2_responses_total{class="%dxx"}' % n] == counted[status]
    assert seen["luafcgid2_errors_total"] == counted[500]
    assert seen["luafcgid2_answer_seconds_count"] == sum(counted.values())
    assert sum(v for k, v in seen.items() if k.startswith("luafcgid2_script_requests")) == \
        sum(counted.values())
    wait_until(lambda: sum(v for k, v in metrics(daemon).items()
                           if k.startswith("luafcgid2_worker_requests")) ==
               sum(counted.values()), "each worker to note its last request")
