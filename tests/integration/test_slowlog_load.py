"""The slow log of many requests at once, of real C modules, and of those that wait."""

import concurrent.futures
import os
import re
import subprocess

import pytest

from servers import SANITIZER, read, wait_until

CLIENTS = 64
SLOW = 3 if SANITIZER else 2  # seconds, which a quick one never takes among so many


def has(module):
    return subprocess.run(["lua5.3", "-e", "require '%s'" % module], check=False,
                          stderr=subprocess.DEVNULL).returncode == 0


def entries(path):
    """(id, what is said, lines of the traceback) of each."""
    found = []
    for text in read(path).split("\n\n")[:-1]:
        _, request, said, title, *trace = text.split("\n")
        assert title == "stack traceback:", text
        found.append((re.search(r"id: (\w+)$", request).group(1), said, trace))
    return found


@pytest.fixture
def slow(daemon, scratch):
    """A factory of daemons with `slow_path`."""
    def start(**options):
        path = os.path.join(scratch(), "slow.log")
        d = daemon(SlowLogPath=path, StatusPath="/status", **options)
        d.slow_path = path
        return d
    return start


@pytest.mark.skipif(not has("socket"), reason="lua-socket is not installed")
def test_a_script_in_a_c_module_is_said_to_be_so_down_to_the_call(slow):
    d = slow(SlowLogTime=0.3)
    page = d.script("""local socket = require "socket"
        local function query() socket.sleep(1.5) end
        function main() query() Send(Env.REQUEST_ID) end""")
    name = d.get(page).text
    wait_until(lambda: entries(d.slow_path), "the entry")
    (ident, said, trace), = entries(d.slow_path)
    assert ident == name and "is in a function written in C, called here" in said
    calls = [re.search(page + r":(\d+):", line) for line in trace]
    assert [call.group(1) for call in calls if call][:2] == ["2", "3"]


@pytest.mark.alone
def test_each_of_64_slow_requests_has_one_entry_and_no_quick_or_waiting_one(slow):
    """Neither kind, though all come at once."""
    d = slow(SlowLogTime=SLOW, WorkerThreads=4, WorkerThreadsMax=CLIENTS + 8,
             LuaMaxStates=2 * CLIENTS)
    pages = {"slow": d.script("function main() os.execute('sleep %s') Send(Env.REQUEST_ID) end" %
                              (2 * SLOW)),
             "waits": d.script("function main() Sleep(%s) Send(Env.REQUEST_ID) end" %
                               (2 * SLOW)),
             "quick": d.script("function main() Send(Env.REQUEST_ID) end")}
    with concurrent.futures.ThreadPoolExecutor(2 * CLIENTS) as pool:
        jobs = {kind: [pool.submit(d.get, pages[kind], timeout=60)
                       for _ in range(CLIENTS if kind == "slow" else CLIENTS // 2)]
                for kind in pages}
    ids = {kind: sorted(job.result().text for job in jobs[kind]) for kind in jobs}

    def counted():
        return int(re.search(r"^slow requests: +(\d+)$", d.get("/status").text, re.M).group(1))
    wait_until(lambda: len(entries(d.slow_path)) >= CLIENTS, "%d entries, of %d counted" % (
        CLIENTS, counted()))
    wait_until(lambda: len(entries(d.slow_path)) == counted(), "all entries that are counted")
    told = sorted(ident for ident, _, _ in entries(d.slow_path))
    assert len(set(told)) == len(told)
    assert set(ids["slow"]) <= set(told) and not set(ids["waits"]) & set(told)
