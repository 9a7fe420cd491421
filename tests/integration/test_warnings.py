"""Warnings of limits that cost time: which option to change, and how often it happened."""

import threading

import pytest


def test_states_closed_to_make_room(daemon):
    d = daemon(WorkerThreads=1, WorkerThreadsMax=1, LuaTotalStates=1, LuaMaxStates=1)
    pages = [d.script("function main() return '%d' end" % i) for i in range(3)]
    for page in pages * 3:
        d.get(page)
    line = d.wait_log("Lua states were closed to make room", "warning")
    assert "raise LuaTotalStates (1)" in line.text and line.worker is None
    for page in pages * 3:
        d.get(page)
    over = d.wait_log("no more Lua states are closed to make room", "warning", timeout=60)
    assert d.log().count("Lua states were closed to make room") == 1, over


def test_states_made_for_one_request(daemon):
    d = daemon(WorkerThreads=2, LuaMaxStates=1, LuaMaxSearchRetries=0)
    page = d.script("""function main()
        local t = os.clock() while os.clock() < t + 0.3 do end return 'x' end""")
    d.get(page)
    threads = [threading.Thread(target=d.get, args=(page,)) for _ in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    line = d.wait_log("Lua states were made for one request only", "warning")
    assert "raise LuaMaxStates (1)" in line.text


@pytest.mark.parametrize("states", [1, 4])
def test_nothing_is_said_while_nothing_is_short(daemon, states):
    d = daemon(WorkerThreads=1, LuaMaxStates=states)
    page = d.script("function main() return 'x' end")
    for _ in range(20):
        d.get(page)
    d.reload()
    assert "Lua states" not in d.log()
