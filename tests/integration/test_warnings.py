"""Warnings of limits that cost time or data: which option to change, how often it happened,
and when it is over."""

import itertools
import re

import pytest

import servers


@pytest.fixture
def hasty(daemon):
    """A factory of daemons that say soon that something is over."""
    return lambda **options: daemon(binary=servers.HASTY, **options)


def said(d, begins, over):
    """Waits for both lines, and returns the first."""
    line = d.wait_log(begins, "warning")
    assert line.worker is None and line.request is None
    d.wait_log(over, "warning")
    for pattern in begins, over:
        found = [x for x in d.lines() if re.search(pattern, x.text)]
        assert len(found) == 1, "%r should be in the log once" % pattern
    return line


def test_states_closed_to_make_room(hasty):
    d = hasty(WorkerThreads=1, WorkerThreadsMax=1, LuaTotalStates=1, LuaMaxStates=1)
    pages = [d.script("function main() return '%d' end" % i) for i in range(3)]
    for page in pages * 3:
        d.get(page)
    line = said(d, "Lua states were closed to make room",
                "no more Lua states are closed to make room")
    assert "raise LuaTotalStates (1)" in line.text


def test_states_made_for_one_request(hasty):
    d = hasty(WorkerThreads=2, LuaMaxStates=1, LuaMaxSearchRetries=0)
    page = d.script("function main() Flush() %s end" % servers.BLOCK)
    with d.hold(page) as first, d.hold(page) as second:
        for held in first, second:
            held.end().response()
    line = said(d, "Lua states were made for one request only",
                "no more Lua states are made for one request only")
    assert "raise LuaMaxStates (1)" in line.text


def test_sessions_deleted_to_make_room(hasty):
    d = hasty(SessionMaxCount=2, StatusPath="/status")
    page = d.script("function main() Session.Start() Session.SetVar('r', 'n', 1) end")
    for _ in range(5):
        assert d.get(page).status == 200
    line = said(d, "sessions were deleted to make room for new ones: [123]; raise",
                "no more sessions are deleted to make room")
    assert "raise SessionMaxCount (2)" in line.text
    assert re.search("sessions evicted: +3\n", d.request("/status").text)


def test_more_wait_than_may(hasty):
    d = hasty(WorkerThreads=1, MaxWaiting=0, StatusPath="/status")
    page = d.script("function main() Sleep(1) end")
    for _ in range(3):
        assert d.get(page).status == 503
    said(d, r"0 requests wait already, and more get 503: [123] did; raise MaxWaiting",
         r"no more waits are refused \(MaxWaiting\)")
    assert re.search("requests waits refused: +3\n", d.request("/status").text)


def test_connections_closed_to_make_room(hasty):
    d = hasty(WorkerThreads=2, MaxConnections=4)
    page = d.script("function main() return 'x' end")
    kept = []
    for _ in range(12):
        kept.append(d.connect().begin(d.site.params(page), keep=True).end())
        assert kept[-1].response().text == "x"
    line = said(d, "MaxConnections are open: idle connections are closed to make room",
                "connections are accepted without trouble again")
    assert "raise MaxConnections (4)" in line.text
    for c in kept:
        c.close()


def test_a_queue_that_grows(hasty):
    """One worker computes for all, and requests come faster than it answers."""
    d = hasty(WorkerThreads=1, WorkerThreadsMax=1, RequestTimeout=0, warns="RequestTimeout")
    page = d.script("function main() Flush() %s end" % servers.BLOCK)
    hello = d.script("function main() return 'x' end")
    with d.hold(page) as held:
        waiting, looks = [], itertools.count()

        def now_and_then_one_more():
            if next(looks) % 20 == 0:  # about ten in a second
                waiting.append(d.open(hello, "GET").end())
            return "the queue grows" in d.log()
        servers.wait_until(now_and_then_one_more, "the queue to grow")
        line = d.wait_log("the queue grows, for", "warning")
        assert "raise WorkerThreads (1)" in line.text
        held.end()
    for c in waiting:
        assert c.response().text == "x"
    said(d, "the queue grows", "the queue is empty again")


def test_slow_log_lines_that_are_lost(hasty):
    d = hasty(SlowLogTime=0.1, SlowLogPath="/dev/full", StatusPath="/status")
    page = d.script("""function main()
        local t = os.clock() while os.clock() < t + 0.4 do end return 'x' end""")
    assert d.get(page).text == "x"
    said(d, r"\d+ lines of the slow log were lost: No space left",
         "no more lines of the slow log are lost")
    assert re.search("slow log lines lost: +[1-9]", d.request("/status").text)


@pytest.mark.parametrize("states", [1, 4])
def test_nothing_is_said_while_nothing_is_short(daemon, states):
    d = daemon(WorkerThreads=1, LuaMaxStates=states)
    page = d.script("function main() return 'x' end")
    for _ in range(20):
        d.get(page)
    d.reload()
    assert "Lua states" not in d.log()
