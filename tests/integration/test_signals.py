"""Signals: TERM and INT end it well, HUP changes its mind, USR1 reopens the log."""

import contextlib
import os
import re
import signal
import threading
import time

import pytest

import fastcgi
import servers
from servers import PATIENCE, SANITIZER, read, wait_until

ECHO = "function main() Flush() Send(Receive()) end"


# -- TERM, INT --

@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_end_with_nothing_to_do(daemon, number):
    d = daemon()
    d.signal(number)
    assert d.wait() == 0
    assert not os.path.exists(d.address)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("keep", [False, True])
def test_running_requests_are_finished(daemon, number, keep):
    d = daemon(WorkerThreads=3)
    pages = [d.script(ECHO), d.script("function main() Flush() Receive() error('x') end")]
    held = [d.hold(pages[0], keep=keep) for _ in range(2)]
    failing = d.hold(pages[1])
    d.signal(number)
    wait_until(lambda: not d.accepts_new(), "new connections to be refused")
    assert d.running()
    held[0].body("a" * 100000)
    assert d.running()
    assert [c.end().response().raw for c in held] == [b"a" * 100000, b""]
    failing.end().response()
    assert d.wait() == 0
    assert not os.path.exists(d.address)
    d.expect_error("x")


def test_connections_without_a_request_do_not_delay_the_end(daemon):
    d = daemon(KeepAliveTimeout=0, ReadTimeout=0)
    page = d.script(ECHO)
    idle = d.connect().begin(d.site.params(page), keep=True).end()
    idle.response()
    silent = d.connect()
    half = d.connect().send(b"\x01\x01\x00")
    began = time.monotonic()
    d.signal(signal.SIGTERM)
    assert d.wait() == 0
    assert time.monotonic() - began < 20  # a request is given 30
    for c in (idle, silent, half):
        assert c.is_closed(1)


def test_peers_that_go_on_sending_do_not_delay_the_last_requests(daemon):
    """Each has its response, and no worker waits until it has sent all of its body."""
    d = daemon(WorkerThreads=1, LuaMaxStates=12)
    first = d.open(d.script("function main() Flush() %s end" % servers.BLOCK))
    first.read_until("\r\n\r\n")
    refused = d.script("function main() return 'refused' end")
    senders = [d.open(refused) for _ in range(8)]
    last = d.open(d.script("function main() return 'served' end"), "GET").end()
    over, more = threading.Event(), fastcgi.record(fastcgi.STDIN, b"more", 1)

    def send():
        while not over.wait(0.1):
            for c in senders:
                with contextlib.suppress(OSError):
                    c.sock.send(more)
    sending = threading.Thread(target=send)
    sending.start()
    try:
        d.signal(signal.SIGTERM)
        d.wait_log("stopping")
        first.end()
        assert last.response(timeout=PATIENCE).text == "served"
        assert [c.response().text for c in senders] == 8 * ["refused"]
        assert d.wait() == 0
    finally:
        over.set()
        sending.join()


def test_request_that_does_not_end_is_given_30_seconds(daemon):
    given = 30 / servers.HURRY
    d = daemon(ReadTimeout=0, RequestTimeout=0, warns="RequestTimeout", binary=servers.HASTY)
    held = d.hold(d.script(ECHO))
    began = time.monotonic()
    d.signal(signal.SIGTERM)
    assert d.wait(60) == 0
    assert given - 2 / servers.HURRY < time.monotonic() - began < given + 20
    assert not os.path.exists(d.address)
    assert held.response().cut, "it must not look whole"
    held.close()
    d.any_errors = True


def test_end_while_many_requests_come_in(daemon):
    """Each of them is answered whole or not at all."""
    d = daemon()
    page = d.script("function main() return ('x'):rep(100000) end")
    d.get(page)
    wrong, served = [], []

    def client():
        try:
            while True:
                response = d.get(page)
                if response.raw and (not response.ended or len(response.body) != 100000):
                    wrong.append(response)
                served.append(1)
        except OSError:
            pass
    threads = [threading.Thread(target=client) for _ in range(4)]
    for t in threads:
        t.start()
    wait_until(lambda: len(served) > 50, "some requests")
    d.signal(signal.SIGTERM)
    assert d.wait() == 0
    for t in threads:
        t.join()
    assert not wrong


# -- HUP --

def test_reload_changes_what_scripts_and_responses_are_made_of(daemon):
    d = daemon(Config={"color": "red"}, DefaultContentType="text/old")
    page = d.script("local at_load = Config.color function main() "
                    "return at_load .. ' ' .. Config.color end")
    old = d.get(page)
    assert (old.text, old.header("Content-Type")) == ("red red", "text/old")
    d.reload(Config={"color": "blue"}, DefaultContentType="text/new")
    wait_until(lambda: d.get(page).text == "blue blue", "the new configuration")
    assert d.get(page).header("Content-Type") == "text/new"


@pytest.mark.parametrize("name, old, new, request_, before, after", [
    ("MaxPostSize", 100, 10, {"body": b"x" * 50, "method": "POST"}, 200, 413),
    ("Entrypoint", "main", "other", {}, 200, 500),
    ("AllowedExtensions", [".lua"], [".lp"], {}, 200, 404),
    ("DefaultHttpStatus", "200 OK", "202 Accepted", {}, 200, 202),
], ids=lambda v: v if isinstance(v, str) else "")
def test_reload_changes(daemon, name, old, new, request_, before, after):
    d = daemon(**{name: old})
    d.any_errors = True
    page = d.script("function main() Receive() end")
    assert d.request(page, **request_).status == before
    d.reload(**{name: new})
    wait_until(lambda: d.request(page, **request_).status == after, "the new " + name)


@pytest.mark.parametrize("config, options, message", [
    ("", {"WorkerThreads": "four"}, "WorkerThreads: expected an integer"),
    ("x = = 1", {}, r"config\.lua:1:"), ("error('no')", {}, "no"),
], ids=["wrong type", "syntax error", "error"])
def test_bad_configuration_is_reported_and_the_old_one_stays(daemon, config, options, message):
    d = daemon(DefaultContentType="text/old", WorkerThreads=1)
    page = d.script("n = 0 function main() n = n + 1 return n end")
    d.get(page)
    d.reload(config, DefaultContentType="text/new", **options)
    d.expect_error(message)
    d.expect_error("the old one stays")
    response = d.get(page)
    assert (response.text, response.header("Content-Type")) == ("2", "text/old")
    d.reload("", WorkerThreads=None)
    wait_until(lambda: d.get(page).header("Content-Type") == "text/new", "the mended one")


def test_configuration_that_vanished_is_reported_and_the_old_one_stays(daemon):
    d = daemon(DefaultContentType="text/old")
    os.remove(d.config_path)
    d.signal(signal.SIGHUP)
    d.expect_error(r"config\.lua")
    d.expect_error("the old one stays")
    assert d.main("").header("Content-Type") == "text/old"


def test_reload_says_what_needs_a_restart(daemon):
    d = daemon(WorkerThreads=2)
    d.reload(WorkerThreads=3, Backlog=100)
    line = d.wait_log("(?i)restart")
    assert "WorkerThreads" in line.line and "Backlog" in line.line
    assert d.main("return 'still here'").text == "still here"


def test_request_finishes_with_the_configuration_it_began_with(daemon):
    d = daemon(Config={"color": "red"})
    page = d.script("function main() Flush() Receive() return Config.color end")
    held = d.hold(page)
    d.reload(Config={"color": "blue"})
    wait_until(lambda: d.get(page).text == "blue", "the new configuration")
    assert held.end().response().raw == b"red"


def test_reload_opens_the_log_it_names(daemon, scratch):
    d = daemon()
    path = os.path.join(scratch(), "other.log")
    d.write_config(LogFilePath=path)
    d.signal(signal.SIGHUP)
    page = d.script("function main() Log('after the reload') end")
    wait_until(lambda: d.get(page) and "after the reload" in read(path), "the other log")


def test_no_request_is_lost_over_reloads(daemon):
    d = daemon(Config={"version": 0})
    page = d.script("function main() Send(Config.version, Receive()) end")
    wrong, done = [], threading.Event()

    def client(keep):
        with d.connect() as c:
            while not done.is_set():
                if keep:
                    c.begin(d.site.params(page, "POST"), keep=True).body("x" * 5000).end()
                    response = c.response()
                else:
                    response = d.post(page, b"x" * 5000)
                if response.status != 200 or not response.text.endswith("x" * 5000):
                    wrong.append(response)
                    return
    threads = [threading.Thread(target=client, args=(i % 2 == 0,)) for i in range(4)]
    for t in threads:
        t.start()
    try:
        for i in range(1, 11):
            d.reload(Config={"version": i})
            wait_until(lambda: d.get(page).text == str(i), "version %d" % i)
    finally:
        done.set()
        for t in threads:
            t.join()
    assert not wrong


# -- USR1 --

def test_log_is_reopened(daemon):
    d = daemon()
    d.main("Log('into the first')")
    os.rename(d.log_path, d.log_path + ".1")
    d.main("Log('still into the first')")
    d.signal(signal.SIGUSR1)
    d.wait_log("reopened")
    d.main("Log('into the second')")
    d.wait_log("into the second")
    assert "still into the first" in read(d.log_path + ".1")
    assert "into the second" not in read(d.log_path + ".1")


def test_log_that_cannot_be_reopened_goes_on_where_it_was(daemon):
    d = daemon()
    os.rename(d.log_path, d.log_path + ".1")
    os.mkdir(d.log_path)
    d.signal(signal.SIGUSR1)
    page = d.script("function main() Log('kept') end")
    wait_until(lambda: d.get(page) and "kept" in read(d.log_path + ".1"), "the old log")
    os.rmdir(d.log_path)
    os.rename(d.log_path + ".1", d.log_path)


# -- others --

@pytest.mark.parametrize("number", [signal.SIGPIPE, signal.SIGUSR1, signal.SIGHUP])
def test_signal_disturbs_no_request(daemon, number):
    d = daemon(WorkerThreads=2)
    held = d.hold(d.script(ECHO))
    for i in range(50):
        d.signal(number)
        held.body("part %d " % i)
    assert held.end().response().raw == b"".join(b"part %d " % i for i in range(50))
    assert d.main("return 'fine'").text == "fine"


def test_no_thread_takes_a_signal_that_is_meant_for_the_main_one(daemon):
    """Nor the one that loaded the configuration, which is gone before anybody connects."""
    d = daemon()
    d.main("")  # its threads run
    sets = [re.search(r"SigBlk:\s*(\w+)", read("/proc/%d/task/%s/status" % (d.pid, task)))[1]
            for task in os.listdir("/proc/%d/task" % d.pid) if task != str(d.pid)]
    assert sets
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1):
        assert all(int(blocked, 16) >> (number - 1) & 1 for blocked in sets), sets


def ask(connection, daemon, page):
    connection.begin(daemon.site.params(page), keep=True).end()


def kept_connections(daemon, page, count=8):
    """Idle ones, of which each has been served once."""
    kept = [daemon.connect() for _ in range(count)]
    for c in kept:
        ask(c, daemon, page)
        assert c.response().ended
    return kept


@pytest.mark.parametrize("end", ["stop", "KeepAliveTimeout"])
def test_request_that_crosses_the_close_of_its_kept_connection_is_served(daemon, end):
    """The only worker is busy as they come, so that they lie in the sockets for a while."""
    d = daemon(WorkerThreads=1)
    page = d.script("function main() return 'x' end")
    held = d.script("function main() Flush() %s end" % servers.BLOCK)
    *kept, idle = kept_connections(d, page)
    busy = d.hold(held)
    for c in kept:
        ask(c, d, page)
    if end == "stop":
        d.signal(signal.SIGTERM)
        d.wait_log("stopping")
    else:
        d.reload(KeepAliveTimeout=0.1)
        assert idle.is_closed(PATIENCE)  # so the others' time is over as well
    busy.end()
    for c in kept:
        response = c.response()
        assert response.ended and response.text == "x", response
        c.close()
    busy.close()


@pytest.mark.alone
def test_kept_connections_are_closed_soon_after_the_stop(daemon):
    d = daemon()
    kept = kept_connections(d, d.script("function main() return 'x' end"))
    began = time.monotonic()
    d.signal(signal.SIGTERM)
    assert d.wait() == 0 and all(c.is_closed(1) for c in kept)
    assert time.monotonic() - began < (20 if SANITIZER else 10)  # a request is given 30
