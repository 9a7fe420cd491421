"""Devices that do not answer, and a system without room for another thread: what needs
them waits, says so, and nobody else waits with it."""

import os
import pathlib
import subprocess
import time

import pytest

import fastcgi
from harm import LIMIT, at_the_limit, check_page, threads
import servers
from servers import HASTY, HURRY, PATIENCE, wait_until

pytestmark = pytest.mark.not_under("address", "thread",
                                   reason="a sanitizer has these functions for itself")


class Faults:
    """Faults of the system that last while they are switched on."""

    def __init__(self, directory):
        self.directory = directory

    def on(self, name):
        pathlib.Path(self.directory, name).touch()

    def off(self, name):
        pathlib.Path(self.directory, name).unlink(missing_ok=True)


@pytest.fixture(scope="module")
def library(module_scratch):
    path = module_scratch() + "/faults.so"
    subprocess.run([os.environ.get("CC", "cc"), "-D_GNU_SOURCE", "-shared", "-fPIC", "-o", path,
                    os.path.join(os.path.dirname(__file__), "faults.c"), "-ldl"], check=True)
    return path


@pytest.fixture
def faults(monkeypatch, library, scratch):
    made = Faults(scratch())
    monkeypatch.setenv("FAULTS", made.directory)
    monkeypatch.setenv("LD_PRELOAD", library)
    yield made
    for name in os.listdir(made.directory):
        made.off(name)


def check_that_limits_hold(d):
    with at_the_limit():
        check_page(d.run("function main() while true do end end"), 504)
    d.expect_error("time limit exceeded")


# -- the disk of SessionFile --

def save(d):
    assert d.run("function main() Session.SetVar('r', 'k', 'kept') end").status == 200


def test_sessions_that_cannot_be_written_hold_up_no_deadline(faults, daemon, scratch):
    """Nor the signs of life that a supervisor waits for."""
    path = scratch() + "/sessions"
    d = daemon(binary=HASTY, SessionFile=path, RequestTimeout=LIMIT)
    faults.on("fsync")
    save(d)
    d.wait_log("SessionFile %s has not been written for" % path, "warning",
               timeout=2 * PATIENCE)
    check_that_limits_hold(d)
    faults.off("fsync")
    d.wait_log(r"SessionFile %s: writing took \d+ ms, and \d+ times more than a second" % path,
               "warning")
    assert b"kept" in pathlib.Path(path).read_bytes()


def test_a_disk_that_does_not_answer_does_not_hold_up_the_end(faults, daemon, scratch):
    d = daemon(binary=HASTY, SessionFile=scratch() + "/sessions")
    save(d)
    faults.on("fsync")
    began = time.monotonic()
    d.process.terminate()
    assert d.wait(60) == 0
    assert time.monotonic() - began < 10 / HURRY + 10
    d.expect_error("the sessions could not be saved within")
    assert "finalizer" not in d.log()


# -- the disk of the log --

def close_a_connection_that_sends_nothing(d):
    """Of which the heartbeat is the one to tell."""
    with fastcgi.Connection(d.address) as c:
        c.send(b"\1")
        assert c.is_closed(PATIENCE)


def test_a_log_that_cannot_be_written_holds_up_no_deadline(faults, daemon, scratch):
    """The heartbeat would be the first to write."""
    d = daemon(binary=HASTY, LogFilePath=scratch() + "/hanging.log", RequestTimeout=LIMIT,
               ReadTimeout=1)
    d.log_path = d.options["LogFilePath"]
    loop = d.script("function main() while true do end end")
    faults.on("write")
    close_a_connection_that_sends_nothing(d)
    with at_the_limit():
        check_page(d.get(loop), 504)
    close_a_connection_that_sends_nothing(d)
    faults.off("write")
    d.expect_error("time limit exceeded")
    wait_until(lambda: d.log().count("no whole request came") >= 2, "the log to tell")


def test_a_log_that_cannot_be_written_does_not_hold_up_the_end(faults, daemon, scratch):
    d = daemon(binary=HASTY, LogFilePath=scratch() + "/hanging.log")
    d.log_path = d.options["LogFilePath"]
    faults.on("write")
    d.process.terminate()
    assert d.wait() == 0


def test_a_password_that_is_hashed_at_the_end_wakes_nobody(faults, daemon, scratch):
    """Here the log makes the end take longer than the hash."""
    d = daemon(binary=HASTY, LogFilePath=scratch() + "/hanging.log")
    d.log_path = d.options["LogFilePath"]
    setting = "$6$rounds=400000$saltsalt$" + 86 * "a"
    with d.open(d.script("function main() Flush() lf.password_verify('x', '%s') end" % setting),
                "GET").end() as c:
        c.read_until("\r\n\r\n")
        faults.on("write")
        d.process.terminate()
        assert d.wait() == 0


# -- a file system that does not answer --

def test_an_edit_is_seen_though_another_file_system_does_not_answer(faults, daemon):
    """In the test both are one: so the script is on another device than /dev/shm."""
    away = pathlib.Path("/dev/shm/lf2-hanging-%d.lua" % os.getpid())
    away.write_text("return 'module'")
    try:
        d = daemon(binary=HASTY)
        if os.stat(d.site.root).st_dev == os.stat("/dev/shm").st_dev:
            pytest.skip("there is one file system only")
        page = d.script("local m = dofile('%s') function main() return m end" % away)
        near = d.script("function main() return 'before' end")
        assert (d.get(page).text, d.get(near).text) == ("module", "before")
        faults.on("stat")
        d.wait_log("looking at %s has taken" % away, "warning")
        d.site.write(near, "function main() return 'after' end")
        wait_until(lambda: d.get(near).text == "after", "the change to be seen")
        faults.off("stat")
        d.wait_log("looking at %s took" % away, "warning")
        d.wait_log(r"a look for changed files took \d+ ms, and \d+ times more than a second",
                   "warning")
        d.wait_log("changed files are found within a second again", "warning")
        d.site.write(near, "function main() return 'again' end")
        wait_until(lambda: d.get(near).text == "again", "the next change to be seen")
        assert d.log().count("looking at") == 2
        faults.on("stat")
        wait_until(lambda: d.log().count("has taken") == 2, "the log to say so again")
        d.process.terminate()
        assert d.wait() == 0
        assert "finalizer" not in d.log()
        assert "a look for changed files was cut off" in d.log()
    finally:
        away.unlink()


# -- no room for another thread --

HELD = "function main() os.execute('true') %s end" % servers.STUCK


def test_a_replacement_that_cannot_be_started_is_tried_again(faults, daemon):
    """While the healthy workers go on; RequestTimeout leaves each of their requests its time."""
    d = daemon(WorkerThreads=2, RequestTimeout=4 * LIMIT, Watchdog=LIMIT)
    d.any_errors = d.any_stderr = True
    before = threads(d)
    faults.on("pthread_create")
    stuck = d.open(d.script(HELD), "GET").end()
    d.wait_log("worker . is stuck", "error")
    d.wait_log("cannot start a worker", "error")
    page = d.script("function main() return 'served' end")
    began = time.monotonic()
    while time.monotonic() - began < 8 * LIMIT:
        assert d.get(page).text == "served"
    assert d.log().count("cannot start a worker") == 1
    faults.off("pthread_create")
    d.wait_log("every worker that could not be started runs now", "info")
    wait_until(lambda: threads(d, "worker") == 3 and threads(d) == before + 1,
               "the replacement, and no other thread")
    stuck.close()
    d.process.kill()
    d.expected_status = d.wait()


# -- no room for another process --

STARTS = {
    "io.popen": "local p, why = io.popen('echo started') return p and p:read() or why",
    "os.execute": "local ok, why = os.execute('exit 0') return ok and 'started' or why",
}
STARTING = pytest.mark.parametrize("code", STARTS.values(), ids=STARTS)


@STARTING
def test_a_fork_that_failed_is_tried_again(faults, daemon, code):
    """Once the script's garbage was collected, and an idle state was closed: each may
    have held a child."""
    d = daemon(WorkerThreads=1)
    held = d.script("kept = io.open('/dev/null') last = setmetatable({}, {__gc = function() "
                    "print('evicted') end}) function main() return 'held' end")
    assert d.get(held).text == "held"
    page = d.script("function main() setmetatable({}, {__gc = function() print('collected') end}) "
                    "%s end" % code)
    faults.on("fork once")
    assert d.get(page).text == "started"
    assert "collected" in d.log()
    d.wait_log("evicted")
    assert os.listdir(faults.directory) == []


@STARTING
def test_a_fork_that_fails_again_is_told_to_the_script(faults, daemon, code):
    d = daemon(WorkerThreads=1)
    page = d.script("function main() %s end" % code)
    assert d.get(page).text == "started"
    faults.on("fork")
    assert d.get(page).text.endswith("Resource temporarily unavailable")
    faults.off("fork")
    assert d.get(page).text == "started"
