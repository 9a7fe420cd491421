"""Workers that wait do not count: more of them start, and leave when they are superfluous."""

import contextlib
import os
import re
import signal
import time

import pytest

from harm import OWN_MEMORY, children, holds_only, lasting_descriptors
from servers import BINARY, HASTY, HURRY, SANITIZER, read, wait_until

SUPERFLUOUS = 10 / HURRY  # seconds after which workers leave
PROMPT = 3 if SANITIZER else 0.5  # seconds: many times what one takes, on a busy machine
# A script that waits in C, and uses no processor, until its file is there.
WAITING = """
    function main()
        local p = io.popen("while ! test -e '" .. Dir() .. "/free'; do sleep 0.1; done")
        Send("waits") Flush()
        p:read("a")
        return Send(", waited")
    end"""
HELLO = "function main() return 'hello' end"
SPINNING = "function main() Send('spins') Flush() while true do end end"
FULL = r"requests wait: all %d workers are busy .*; raise WorkerThreadsMax"


@pytest.fixture
def growing(daemon):
    """A daemon that may grow, and is in a hurry to let workers go."""
    def make(**options):
        d = daemon(**{"binary": HASTY, "WorkerThreadsMax": 64, "LuaMaxSearchRetries": 0,
                      "RequestTimeout": 120, **options})
        d.threads()  # all of them run
        d.site.write("waiting.lua", WAITING)
        d.site.write("hello.lua", HELLO)
        d.site.write("spinning.lua", SPINNING)
        return d
    return make


def workers(d):
    return count(d, r"\(worker\)")


def count(d, pattern):
    """Threads whose line in /proc matches."""
    found = 0
    for task in os.listdir("/proc/%d/task" % d.pid):
        with contextlib.suppress(ProcessLookupError):
            found += re.search(pattern, read("/proc/%d/task/%s/stat" % (d.pid, task))) is not None
    return found


def begin(d, path, number):
    """So many requests, all at once; what came of them is read by `begun`."""
    return [d.open(path, "GET").end() for _ in range(number)]


def begun(held, word):
    for c in held:
        c.read_until(word)
    return held


def release(d, held):
    d.site.write("free", "")
    for c in held:
        assert c.response().raw.endswith(b", waited")


def hello(d):
    """Seconds that one takes."""
    before = time.monotonic()
    assert d.get("hello.lua").text == "hello"
    return time.monotonic() - before


def check_prompt(d):
    took = sorted(hello(d) for _ in range(20))
    assert took[10] < PROMPT and took[-1] < 10, took  # the machine may have stood still


def wait_for_workers(d, number):
    wait_until(lambda: workers(d) == number, "there to be %d workers, not %d" % (
        number, workers(d)), 4 * SUPERFLUOUS + 20)


# -- more --

def test_scripts_that_wait_cost_a_thread_each_and_delay_nobody(growing):
    d = growing(WorkerThreads=4)
    hello(d)
    held = begun(begin(d, "waiting.lua", 20), "waits")
    check_prompt(d)
    assert 21 <= workers(d) <= 24
    assert "requests wait" not in d.log()
    release(d, held)


def test_one_worker_waits_and_another_serves(growing):
    d = growing(WorkerThreads=1)
    held = begun(begin(d, "waiting.lua", 1), "waits")
    check_prompt(d)
    assert workers(d) == 2
    release(d, held)


def test_a_request_that_waits_for_a_moment_gets_no_worker_more(growing):
    """The other one is back before."""
    d = growing(WorkerThreads=1)
    for _ in range(20):
        for c in begin(d, "hello.lua", 3):
            assert c.response().text == "hello"
    assert workers(d) == 1


def test_scripts_that_wait_while_nobody_asks_get_no_worker_more(growing):
    d = growing(WorkerThreads=2)
    held = begun(begin(d, "waiting.lua", 2), "waits")
    before = workers(d)
    assert before <= 3  # on a busy machine the second had to wait for a moment
    time.sleep(0.3)
    assert workers(d) <= before
    release(d, held)


@pytest.mark.parametrize("waiting", [1000, 0], ids=["wait", "keep their workers"])
def test_slow_bodies_delay_nobody(growing, waiting):
    d = growing(WorkerThreads=2, ReadTimeout=60, MaxWaiting=waiting)
    page = d.script("function main() Send('begun') Flush() Receive() Send('.') end")
    held = [d.hold(page) for _ in range(8)]
    check_prompt(d)
    assert workers(d) == 2 if waiting else 9 <= workers(d) <= 10
    for c in held:
        assert c.end().response().raw.endswith(b".")


def test_slow_readers_get_no_worker(growing):
    d = growing(WorkerThreads=2, WorkerThreadsMax=2, WriteTimeout=60)
    page = d.script("function main() Send(('x'):rep(8 << 20)) end")
    held = begun(begin(d, page, 8), "xxx")
    check_prompt(d)
    assert workers(d) == 2
    for c in held:
        assert len(c.response().raw) >= (8 << 20) - 65536


def test_slow_readers_beyond_max_pending_output_delay_nobody(growing):
    d = growing(WorkerThreads=2, WriteTimeout=60, MaxPendingOutput=1)
    page = d.script("function main() Send(('x'):rep(8 << 20)) end")
    held = begun(begin(d, page, 8), "xxx")
    check_prompt(d)
    assert 8 <= workers(d) <= 10
    for c in held:
        assert len(c.response().raw) >= (8 << 20) - 65536


@pytest.mark.not_under("thread", reason="a thread that computes sleeps in the sanitizer")
def test_scripts_that_compute_do_not_multiply(growing):
    """However long others wait for them."""
    d = growing(WorkerThreads=2, RequestTimeout=3)
    d.any_errors = True
    held = begun(begin(d, "spinning.lua", 2), "spins")
    c = d.open("hello.lua", "GET").end()
    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        assert workers(d) == 2
        time.sleep(0.02)
    for spinning in held:
        assert spinning.response().closed
    assert c.response().text == "hello"
    assert "requests wait" not in d.log()


def test_those_that_compute_count_and_those_that_wait_do_not(growing):
    d = growing(WorkerThreads=2, RequestTimeout=20)
    d.any_errors = True
    spinning = begun(begin(d, "spinning.lua", 1), "spins")
    held = begun(begin(d, "waiting.lua", 5), "waits")
    check_prompt(d)
    assert 7 <= workers(d) <= 8
    spinning += begun(begin(d, "spinning.lua", 1), "spins")
    wait_until(lambda: count(d, r"\(worker\) R") == 2, "both to compute")
    assert workers(d) <= 8
    release(d, held)
    for c in spinning:
        c.close()


# -- the bound --

@pytest.mark.parametrize("most", [1, 3])
def test_at_the_bound_the_log_says_what_to_raise(growing, most):
    d = growing(WorkerThreads=1, WorkerThreadsMax=most)
    held = begun(begin(d, "waiting.lua", most), "waits")
    c = d.open("hello.lua", "GET").end()
    d.wait_log(FULL % most, "warning")
    assert workers(d) == most
    time.sleep(0.3)
    assert d.log().count("requests wait") == 1
    release(d, held)
    assert c.response().text == "hello"
    d.wait_log("requests do not wait for a worker any more", "warning")


def test_a_reload_raises_the_bound(growing):
    d = growing(WorkerThreads=1, WorkerThreadsMax=2)
    held = begun(begin(d, "waiting.lua", 2), "waits")
    c = d.open("hello.lua", "GET").end()
    d.wait_log(FULL % 2, "warning")
    d.reload(WorkerThreadsMax=3)
    assert c.response().text == "hello"
    release(d, held)


def test_there_are_never_fewer_than_workerthreads(growing):
    d = growing(WorkerThreads=6, WorkerThreadsMax=None)
    wait_for_workers(d, 6)
    d.reload(WorkerThreads=4, WorkerThreadsMax=4)  # the first needs a restart
    held = begun(begin(d, "waiting.lua", 6), "waits")
    release(d, held)
    assert workers(d) == 6


# -- fewer --

def test_one_that_was_superfluous_leaves(growing):
    """Not at once."""
    d = growing(WorkerThreads=2)
    held = begun(begin(d, "waiting.lua", 12), "waits")
    assert workers(d) >= 12
    began = time.monotonic()
    release(d, held)
    wait_for_workers(d, 2)
    assert time.monotonic() - began >= SUPERFLUOUS * 0.9


def test_a_free_worker_stays_while_others_wait(growing):
    d = growing(WorkerThreads=1)
    held = begun(begin(d, "waiting.lua", 2), "waits")
    hello(d)
    time.sleep(2.5 * SUPERFLUOUS)
    assert workers(d) == 3
    release(d, held)
    wait_for_workers(d, 1)


def test_load_and_its_end_leave_no_thread_descriptor_or_child_behind(growing):
    d = growing(WorkerThreads=2)
    hello(d)
    open_files = lasting_descriptors(d)
    for _ in range(3):
        held = begun(begin(d, "waiting.lua", 30), "waits")
        release(d, held)
        d.site.remove("free")
        wait_for_workers(d, 2)
    check_prompt(d)
    wait_until(lambda: holds_only(d, open_files), "descriptors to be closed")
    wait_until(lambda: not children(d), "the children to end")
    wait_until(lambda: d.threads() <= d.idle_threads(), "the other threads to end")


@OWN_MEMORY
def test_load_and_its_end_leave_no_memory_behind(growing):
    d = growing(WorkerThreads=2, MinFileInfoTime=1000)
    sizes = []
    for _ in range(4):
        held = begun(begin(d, "waiting.lua", 30), "waits")
        release(d, held)
        d.site.remove("free")
        wait_for_workers(d, 2)
        hello(d)
        sizes.append(d.rss())
    assert min(sizes[1:]) < sizes[0] + (3 << 20), sizes  # of 90 that came and went


def test_a_free_worker_costs_no_wakeups(growing):
    """The daemon sleeps as deeply as it did: also after it has grown and shrunk."""
    d = growing(WorkerThreads=1)

    def woken():
        for task in os.listdir("/proc/%d/task" % d.pid):
            status = read("/proc/%d/task/%s/status" % (d.pid, task))
            if status.startswith("Name:\tgovernor\n"):
                return int(re.search(r"nonvoluntary_ctxt_switches:\s*(\d+)", status)[1]) + int(
                    re.search(r"\nvoluntary_ctxt_switches:\s*(\d+)", status)[1])
        raise AssertionError("no governor")

    held = begun(begin(d, "waiting.lua", 2), "waits")
    release(d, held)
    wait_for_workers(d, 1)

    def sleeps_for_a_second():
        before = woken()
        time.sleep(1)
        return woken() == before
    wait_until(sleeps_for_a_second, "a second without a wake-up")


# -- the end --

def test_a_stop_waits_for_all_of_them(growing):
    d = growing(WorkerThreads=1, binary=BINARY)  # which gives requests more time to end
    held = begun(begin(d, "waiting.lua", 10), "waits")
    d.signal(signal.SIGTERM)
    d.wait_log("stopping", "info")
    release(d, held)
    assert d.wait() == 0
    d.wait_log("stopped", "info")


def test_a_stop_while_it_grows(growing):
    for _ in range(3):
        d = growing(WorkerThreads=1, binary=BINARY)
        held = begin(d, "waiting.lua", 30)
        begun(held[:3], "waits")
        d.signal(signal.SIGTERM)
        d.site.write("free", "")
        for c in held:
            assert c.response().raw.endswith(b", waited")
        assert d.wait() == 0
        d.site.remove("free")
