"""The pool: how many Lua states there are, which of them serves, which of them goes."""

import itertools
import threading

import pytest

import servers
from servers import PATIENCE, lua, wait_until

COUNT = "n = (n or 0) + 1 "
HOLD = "function main() %s Flush() %s Send(n, ' ', Info.State) end" % (COUNT, servers.BLOCK)
PAGE = "function main() %s Send(n, ' ', Info.State) end" % COUNT


def observer(daemon):
    """A function that tells how many states a script has; asked from another script."""
    daemon.site.write("observer.lua", """
        function main() local all = 0
            for _, n in pairs(ThreadData()) do all = all + n end
            Send(ThreadData()[Env.X_PAGE] or 0, " ", all) end""")

    def look(page, column=0):
        text = daemon.get("observer.lua", X_PAGE=daemon.site.path(page)).text
        return int(text.split()[column])
    return look


def settle(daemon, workers):
    """Returns when that many free workers have given back what they served with: the state
    is checked in after the client has got its response."""
    page = daemon.script(HOLD)
    for c in [daemon.hold(page) for _ in range(workers)]:
        finish(c)


def finish(connection):
    count, state = connection.end().response().raw.split()
    return int(count), int(state)


# -- states of one script --

def test_idle_states_are_taken_newest_first(daemon):
    d = daemon(WorkerThreads=3)
    page = d.script(HOLD)
    states = []
    for i, c in enumerate([d.hold(page) for _ in range(3)]):
        states.append(finish(c)[1])
        settle(d, i + 1)
    assert len(set(states)) == 3
    for _ in range(4):
        assert finish(d.hold(page))[1] == states[-1]
        settle(d, 3)
    first, second = d.hold(page), d.hold(page)
    assert (finish(first)[1], finish(second)[1]) == (states[-1], states[-2])


@pytest.mark.parametrize("states", [1, 3])
def test_lua_states_are_made_when_a_script_is_first_loaded(daemon, states):
    d = daemon(LuaStates=states, WorkerThreads=1)
    look = observer(d)
    page = d.script("Log('loaded a state') " + PAGE)
    assert d.get(page).text.split()[0] == "1"
    wait_until(lambda: look(page) == states, "%d states" % states)
    wait_until(lambda: d.log().count("loaded a state") == states, "as many loads")
    for i in range(2, 10):  # and no more are made, for one is enough
        assert d.get(page).text.split()[0] == str(i)
    assert look(page) == states and d.log().count("loaded a state") == states


@pytest.mark.parametrize("name", ["LuaMaxStates", "clones"])
def test_no_more_states_of_a_script_are_kept_than_configured(daemon, name):
    d = daemon(**{name: 2, "WorkerThreads": 4, "LuaMaxSearchRetries": 0})
    look = observer(d)
    page = d.script(HOLD)
    held = [d.hold(page) for _ in range(3)]
    assert look(page) == 3  # the third is an extra one
    assert [finish(c)[0] for c in held] == [1, 1, 1]
    settle(d, 4)
    assert look(page) == 2  # the extra one is closed
    held = [d.hold(page) for _ in range(3)]
    assert sorted(finish(c)[0] for c in held) == [1, 2, 2]


def test_six_states_of_a_script_are_kept_by_default(daemon):
    d = daemon(WorkerThreads=9, LuaMaxSearchRetries=0)
    look = observer(d)
    page = d.script(HOLD)
    for c in [d.hold(page) for _ in range(8)]:
        finish(c)
    wait_until(lambda: look(page) == 6, "the extra states to be closed")


@pytest.mark.parametrize("name", ["LuaMaxSearchRetries", "retries"])
def test_request_waits_for_a_busy_state(daemon, name):
    d = daemon(**{name: 1000, "LuaMaxStates": 1, "WorkerThreads": 3})
    look = observer(d)
    page = d.script(HOLD)
    first, second = d.hold(page), d.open(page)
    second.end()
    assert look(page) == 1
    state = finish(first)
    assert tuple(map(int, second.response().text.split())) == (2, state[1])


def test_no_retries_take_an_extra_state_at_once(daemon):
    d = daemon(LuaMaxSearchRetries=0, LuaMaxStates=1, WorkerThreads=2)
    page = d.script(HOLD)
    first, second = d.hold(page), d.hold(page)
    assert finish(second)[0] == 1
    assert finish(first)[0] == 1
    settle(d, 2)
    assert finish(d.hold(page))[0] == 2  # one of them was kept


@pytest.mark.parametrize("name", ["LuaMaxRequests", "maxcount"])
def test_state_is_renewed_after_so_many_requests(daemon, name):
    d = daemon(**{name: 3, "WorkerThreads": 1})
    page = d.script(PAGE)
    assert [d.get(page).text.split()[0] for _ in range(7)] == list("1231231")


def test_state_is_not_renewed_by_default(daemon):
    d = daemon(WorkerThreads=1)
    page = d.script(PAGE)
    for i in range(1, 300):
        assert d.get(page).text.split()[0] == str(i)


# -- states of all scripts --

@pytest.mark.parametrize("name", ["LuaTotalStates", "states"])
def test_no_more_states_are_kept_in_all_than_configured(daemon, name):
    d = daemon(**{name: 5, "WorkerThreads": 1})
    look = observer(d)
    for i in range(30):
        assert d.get(d.script(PAGE)).status == 200
        assert look("none.lua", 1) <= 5


def test_total_holds_for_busy_states_too(daemon):
    d = daemon(WorkerThreads=3, LuaTotalStates=3)
    look = observer(d)
    for _ in range(5):
        for c in [d.hold(d.script(HOLD)) for _ in range(3)]:
            assert finish(c)[0] == 1
    wait_until(lambda: look("none.lua", 1) <= 3, "the states over the total to go")


def crawl(daemon, hits):
    """A daemon with room for eight states, a script that was asked for so often, how many
    states that has, and a function that asks for rare ones, each of which is new or long
    forgotten."""
    d = daemon(WorkerThreads=1, LuaTotalStates=8)
    popular, look = d.script(PAGE), observer(d)
    for _ in range(hits):
        d.get(popular)
    rare = itertools.cycle([d.script(PAGE) for _ in range(100)])

    def ask(times):
        for _ in range(times):
            assert d.get(next(rare)).text.split()[0] == "1"
    return d, popular, lambda: look(popular), ask


def test_popular_script_survives_a_crawl_over_a_thousand_rare_ones(daemon):
    d, popular, _, ask = crawl(daemon, 100)
    ask(1000)
    assert d.get(popular).text.split()[0] == "101"


def test_script_that_is_asked_for_now_and_then_survives_too(daemon):
    """Less often than there is room for others between two of its requests."""
    d, popular, _, ask = crawl(daemon, 100)
    for i in range(20):
        ask(10)
        assert d.get(popular).text.split()[0] == str(101 + i)


def test_popularity_ages(daemon):
    _, _, states, ask = crawl(daemon, 10)

    def is_gone():
        ask(100)
        return states() == 0
    wait_until(is_gone, "a script that is not asked for any more to make room", 4 * PATIENCE)


# -- workers --

@pytest.mark.parametrize("name", ["WorkerThreads", "workers"])
def test_so_many_requests_are_served_at_once(daemon, name):
    d = daemon(**{name: 3})
    page = d.script("function main() Log('begin ' .. Env.X_ID) Flush() %s "
                    "Log('end ' .. Env.X_ID) end" % servers.BLOCK)
    held = [d.hold(page, X_ID=i) for i in range(3)]
    fourth = d.open(page, X_ID=3).end()
    held[1].end().response()
    fourth.response()
    texts = [line.text for line in d.lines() if line.text[:4] in ("begi", "end ")]
    assert texts.index("begin 3") > texts.index("end 1")
    for c in (held[0], held[2]):
        c.end().response()


def test_four_requests_are_served_at_once_by_default(daemon):
    d = daemon()
    page = d.script(HOLD)
    for c in [d.hold(page) for _ in range(4)]:
        finish(c)


# -- nobody waits for another script --

def test_slow_load_holds_up_only_its_own_script(daemon):
    d = daemon(WorkerThreads=2)
    d.site.write("slow/page.lua", """
        Log("loading")
        repeat local go = io.open("go") until go
        function main() return "loaded" end""")
    slow = d.open("slow/page.lua").end()
    d.wait_log("loading")
    for _ in range(20):
        assert d.get(d.script(PAGE)).text.split()[0] == "1"
    d.site.write("slow/go", "")
    assert slow.response().text == "loaded"


def test_slow_end_of_a_state_holds_up_nobody_else(daemon):
    """Its finalizers run while other scripts are looked up, loaded and served. A request may
    come before the state of the one before is back; then it waits for that."""
    d = daemon(WorkerThreads=2, LuaMaxStates=1, LuaMaxSearchRetries=1000)
    d.site.write("slow/page.lua", """
        anchor = setmetatable({}, {__gc = function()
            Log("closing") repeat os.execute("sleep 0.02") local go = io.open(%s) until go end})
        function main() return "first" end""" % lua(d.site.path("slow/go")))
    assert d.get("slow/page.lua").text == "first"
    d.site.write("slow/page.lua", "function main() return 'second' end")
    page = d.script(PAGE)
    d.wait_log("closing", since=0)
    for i in range(1, 20):
        assert d.get(page).text.split()[0] == str(i)
        assert d.get(d.script(PAGE)).text.split()[0] == "1"
    d.site.write("slow/go", "")
    wait_until(lambda: d.get("slow/page.lua").text == "second", "the new version")


def test_first_requests_at_once_are_all_served(daemon):
    d = daemon(WorkerThreads=8, LuaMaxStates=8)
    for _ in range(10):
        page = d.script("local t = {} for i = 1, 20000 do t[i] = {} end " + PAGE)
        got = []
        threads = [threading.Thread(target=lambda: got.append(d.get(page).status))
                   for _ in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert got == [200] * 8
