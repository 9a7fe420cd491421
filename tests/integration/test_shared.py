"""Shared: values and locks of all scripts of the daemon."""

import signal
import threading
import time

import pytest

from servers import PATIENCE, wait_until

DAEMON = {"WorkerThreads": 4, "WorkerThreadsMax": 4, "LuaMaxStates": 4,
          "RequestTimeout": PATIENCE}


@pytest.fixture(autouse=True)
def empty(request):
    """What other tests have left is gone."""
    if "web" in request.fixturenames:
        request.getfixturevalue("web").main("""
            for _, key in ipairs(Shared.keys()) do Shared.delete(key) end""")


def together(count, body):
    """Runs body(0), body(1), ... at once; the first error is raised."""
    errors = []

    def run(i):
        try:
            body(i)
        except BaseException as error:  # noqa: the thread's end would hide it
            errors.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if errors:
        raise errors[0]


def test_a_value_is_seen_by_every_script_and_every_state(web):
    assert web.main("Shared.set('k', 1.5) Shared.set('s', 'a\\0b')").status == 200
    assert web.value("Shared.get('k')") == "1.5"
    assert web.value("#Shared.get('s')") == "3"
    assert web.value("table.concat(Shared.keys('s'))") == "s"


def test_a_counter_loses_nothing(web):
    page = web.script("""function main()
        for i = 1, 1000 do Shared.incr("n") end
        Send(Info.State) end""")
    together(16, lambda _: web.get(page))
    assert web.value("Shared.get('n')") == "16000"


def test_a_value_is_there_for_its_time(web):
    assert web.main("Shared.set('short', 1, 0.2) Shared.add('long', 2, 1000) "
                    "Shared.set('ever', 3, 0)").status == 200
    wait_until(lambda: web.value("Shared.get('short')") == "nil", "the end of a value")
    assert web.value("Shared.get('long')") == "2" and web.value("Shared.get('ever')") == "3"


def test_values_survive_an_edit_an_error_and_a_reload(daemon, site):
    d = daemon()
    site.write("a.lua", "function main() return Shared.incr('n') end")
    assert d.get("a.lua").text == "1"
    site.write("a.lua", "function main() return 'edited ' .. Shared.incr('n') end")
    wait_until(lambda: d.get("a.lua").text.startswith("edited"), "the edit")
    before = int(d.value("Shared.get('n')"))
    d.reload()
    assert d.get("a.lua").text == "edited %d" % (before + 1)


def test_what_was_not_used_for_longest_makes_room(daemon):
    d = daemon(SharedMaxSize=10000)
    assert d.main("""
        for i = 1, 50 do Shared.set("k" .. i, ("x"):rep(100)) Shared.get("k1") end
        assert(Shared.get("k1") and Shared.get("k50") and not Shared.get("k2"))
        return #Shared.keys()""").text == "44"
    assert "larger than SharedMaxSize" in d.main(
        "return select(2, pcall(Shared.set, 'k', ('x'):rep(10000)))").text


def test_one_request_at_a_time_holds_a_lock(web):
    page = web.script("""function main()
        local lock = Shared.lock("l")
        local n = Shared.get("m") or 0
        os.execute("sleep 0.01")
        Shared.set("m", n + 1)
        lock:unlock() end""")
    together(12, lambda _: web.get(page))
    assert web.value("Shared.get('m')") == "12"


@pytest.mark.parametrize("ending", ["", "error('enough')", "os.exit()"])
def test_a_lock_ends_with_its_request(web, ending):
    page = web.script("""function main()
        Shared.lock("held") Flush() Receive() %s end""" % ending)
    with web.hold(page) as holder:
        assert web.value("Shared.lock('held', nil, 0.05)") == "nil"
        holder.end()
        if "error" in ending:
            web.expect_error("enough")
        assert web.main("return type(Shared.lock('held', nil, %d))" % PATIENCE).text == (
            "userdata")


def test_a_lock_ends_when_its_time_is_over(web):
    page = web.script("""function main()
        local lock = Shared.lock("late", 0.3) Flush() Receive()
        Send(tostring(lock:unlock())) end""")
    with web.hold(page) as holder:
        begun = time.monotonic()
        assert web.main("return type(Shared.lock('late'))").text == "userdata"
        assert time.monotonic() - begun < PATIENCE
        holder.end()
        assert holder.response(before=b"\r\n\r\n").text == "false"


def test_who_waits_for_a_lock_leaves_the_queue_when_the_client_goes(web):
    with web.hold(web.script("function main() Shared.lock('q') Flush() Receive() end")) as holder:
        waiter = web.hold(web.script("function main() Flush() Shared.lock('q') end"))
        waiter.end().close()
        holder.end()
    assert web.main("return type(Shared.lock('q', nil, %d))" % PATIENCE).text == "userdata"


def test_a_stop_ends_those_who_wait_for_a_lock(daemon):
    d = daemon(WorkerThreads=4, WorkerThreadsMax=4)
    page = d.script("function main() Flush() Shared.lock('s') Sleep(1000) end")
    held = [d.hold(page, method="GET").end() for _ in range(3)]
    d.signal(signal.SIGTERM)
    assert d.wait() == 0
    for one in held:
        one.close()
