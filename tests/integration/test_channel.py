"""Channels: what one request publishes, others receive, in whatever script and state."""

import signal
import threading
import time

import pytest

from servers import PATIENCE, lua, wait_until

DAEMON = {"WorkerThreads": 4, "WorkerThreadsMax": 4, "LuaMaxStates": 4,
          "RequestTimeout": PATIENCE}

# Each subscribes, sends its head, and answers with three messages.
STYLES = {
    "v2": """
        function main()
            local s = Subscribe(Env.QUERY_STRING)
            Flush()
            for i = 1, 3 do local m, c = s:next() Send(m, "@", c, "\\n") end
        end""",
    "v1": """
        function main(env, con)
            local s = con:subscribe(env.QUERY_STRING)
            con:flush()
            for i = 1, 3 do local m, c = s:next() con:puts(m .. "@" .. c .. "\\n") end
        end""",
    "2009": """
        function handler(env)
            local s = Subscribe(env.QUERY_STRING)
            Flush()
            local all = {}
            for i = 1, 3 do local m, c = s:next() all[i] = m .. "@" .. c .. "\\n" end
            return table.concat(all)
        end""",
}

READER = """
    local function read()
        local s = Subscribe(Env.QUERY_STRING)
        Send(Info.State) Flush()
        repeat local m = s:next() Send(",", m) until m == "end"
    end
    main = read"""


def listen(web, page, query="", **params):
    """A request whose script has subscribed."""
    reader = web.open(page, "GET", query, **params).end()
    reader.head = reader.read_until("\r\n\r\n")
    return reader


def answer(reader):
    return reader.response(timeout=PATIENCE, before=reader.head)


def publish(web, channel, text):
    """Returns how many subscriptions there are."""
    return int(web.value("Publish(%s, %s)" % (lua(channel), lua(text))))


def nobody(web, *channels):
    wait_until(lambda: all(publish(web, c, "anybody?") == 0 for c in channels),
               "the end of all subscriptions")


@pytest.mark.parametrize("style", STYLES)
def test_subscribe_and_next_in_each_style(web, style):
    with listen(web, web.script(STYLES[style]), style) as reader:
        assert publish(web, style, "1") == 1
        assert publish(web, "other", "x") == 0
        assert web.main("Send(con:publish(%s, 2))" % lua(style)).text == "1"
        assert publish(web, style, b"\0\xff") == 1
        assert answer(reader).body == b"1@%s\n2@%s\n\0\xff@%s\n" % ((style.encode(),) * 3)
    nobody(web, style)


def test_publish_reaches_every_script_and_every_state(web):
    page = web.script(READER)
    pages = (page, page, page, web.script(READER))
    readers = [listen(web, p, "chat") for p in pages]
    assert publish(web, "chat", "1") == 4
    assert publish(web, "chat", "2") == 4
    assert publish(web, "chat", "end") == 4
    texts = [answer(r).text.split(",", 1) for r in readers]
    assert [messages for _, messages in texts] == ["1,2,end"] * 4
    assert len({state for state, _ in texts[:3]}) == 3
    nobody(web, "chat")


def test_publish_does_not_wait_and_nobody_gets_what_came_before(web):
    for _ in range(100):
        assert web.value("Publish('quiet', 'x')") == "0"
    assert web.main("local s = Subscribe('quiet') return tostring(s:next(0))").text == "nil"


def test_one_message_reaches_more_subscriptions_than_there_are_workers(web):
    page = web.script(READER)
    readers = [listen(web, page, "all") for _ in range(100)]
    assert publish(web, "all", "1") == 100
    assert publish(web, "all", "end") == 100
    assert {answer(r).text.split(",", 1)[1] for r in readers} == {"1,end"}
    nobody(web, "all")


def test_a_script_gets_what_it_publishes_itself(web):
    assert web.main("""
        local s = Subscribe("a", "b")
        assert(Publish("b", "1") == 1 and Publish("a", "2") == 1)
        local function two() return s:next() end
        local m, c = two()
        return m .. c .. table.concat({s:next(1)})""").text == "1b2a"


def test_next_with_a_timeout_returns_nil_and_timeout(web):
    begun = time.monotonic()
    assert web.main("""local s = Subscribe("never")
        local m, why = s:next(0.3) return tostring(m) .. why""").text == "niltimeout"
    assert time.monotonic() - begun >= 0.3
    assert web.main("""local s = Subscribe("never")
        local m, why = s:next(-1) return tostring(m) .. why""").text == "niltimeout"


@pytest.mark.parametrize("body", [
    "local ok, m = pcall(s.next, s) Send(m)",
    "local ok, m = xpcall(function() return s:next() end, debug.traceback) Send(m)",
    "Send((coroutine.wrap(function() return coroutine.wrap(s.next)(s) end)()))",
    "for m in function() return s:next() end do Send(m) break end",
    "Send(setmetatable({}, {__index = function() return (s:next()) end}).x)",
    "table.sort({1, 2}, function() got = got or s:next() return false end) Send(got)",
    "string.gsub('x', 'x', function() Send((s:next())) end)",
], ids=["pcall", "xpcall", "wrap", "for", "index", "sort", "gsub"])
def test_next_waits_wherever_a_script_calls_it(web, body):
    page = web.script("function main() local s = Subscribe('deep') Flush() %s end" % body)
    with listen(web, page) as reader:
        assert publish(web, "deep", "here") == 1
        assert answer(reader).text == "here"


def test_a_slow_reader_misses_the_oldest_and_can_ask_how_many(daemon):
    d = daemon(SubscriptionMaxSize=10000)
    page = d.script("""
        function main()
            local s, more = Subscribe("news"), Subscribe("more")
            Flush()
            more:next()
            local before, got = s:missed(), {}
            repeat got[#got + 1] = s:next() until got[#got] == "100"
            Send(before, " ", s:missed(), " ", #got, " ", got[1])
        end""")
    with listen(d, page) as slow:
        assert d.main("""for i = 1, 100 do Publish("news", i) end
                         return Publish("more", "x")""").text == "1"
        before, missed, got, first = (int(n) for n in answer(slow).text.split())
    assert before == missed and missed + got == 100 and first == missed + 1
    assert 90 <= got <= 100


def test_a_message_that_is_too_large_is_an_error(daemon):
    d = daemon(SubscriptionMaxSize=1000)
    assert d.main("""local s = Subscribe("a")
        local ok, why = pcall(Publish, "a", ("x"):rep(1001))
        assert(not ok and Publish("a", ("y"):rep(1000)) == 1)
        return why .. #s:next()""").text == (
            "a message of 1001 bytes is larger than SubscriptionMaxSize1000")
    free = daemon(SubscriptionMaxSize=0)
    assert free.main("""local s = Subscribe("a")
        Publish("a", ("y"):rep(5000000)) return #s:next()""").text == "5000000"


def test_close_ends_a_subscription(web):
    assert web.main("""local s, t = Subscribe("a"), Subscribe("a")
        s:close() s:close()
        local n = Publish("a", "x")
        local ok, why = pcall(s.next, s)
        return n .. tostring(ok) .. why .. t:next()""").text == (
            "1falsethis subscription is closed, or belongs to a request that is overx")


ENDS = {
    "return": ("", None),
    "error": ("error('enough')", "enough"),
    "exit": ("os.exit()", None),
    "memory": ("local t = {} while true do t[#t + 1] = ('x'):rep(1 << 20) .. #t end",
               "memory limit"),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_subscription_ends_with_its_request(web, end):
    code, error = ENDS[end]
    page = web.script("""function main() kept = Subscribe("mine", "yours") Flush()
        kept:next() %s end""" % code)
    with listen(web, page) as reader:
        assert publish(web, "mine", "x") == 1
        answer(reader)
        if error:
            web.expect_error(error)
    nobody(web, "mine", "yours")


def test_a_subscription_ends_when_the_client_has_gone(web):
    page = web.script("function main() local s = Subscribe('gone') Flush() s:next() end")
    listen(web, page).close()
    nobody(web, "gone")


def test_an_old_subscription_is_of_no_use_to_the_next_request(solo):
    page = solo.script("""function main()
        if kept then return select(2, pcall(kept.next, kept)) end
        kept = Subscribe("a") return "first" end""")
    assert solo.get(page).text == "first"
    assert "request that is over" in solo.get(page).text


def test_an_edit_and_a_reload_leave_subscriptions_alone(daemon, site):
    d = daemon(WorkerThreads=4, WorkerThreadsMax=4)
    site.write("edited.lua", READER)

    def is_edited():
        with listen(d, "edited.lua", "new") as after:
            assert publish(d, "new", "end") == 1
            return answer(after).text.endswith(";end")

    with listen(d, "edited.lua", "old") as before:
        assert publish(d, "old", "1") == 1
        site.write("edited.lua", READER.replace('","', '";"'))
        wait_until(is_edited, "the edit")
        d.reload(WorkerThreads=4, WorkerThreadsMax=4)
        assert is_edited()
        assert publish(d, "old", "end") == 1
        assert answer(before).text.endswith(",1,end")


def test_a_stop_ends_those_who_wait(daemon):
    d = daemon(WorkerThreads=4, WorkerThreadsMax=4)
    page = d.script("function main() local s = Subscribe('stop') Flush() s:next() end")
    readers = [listen(d, page) for _ in range(3)]
    d.signal(signal.SIGTERM)
    assert d.wait() == 0
    for reader in readers:
        reader.close()


def test_64_clients_chat_and_each_gets_every_message_in_order(daemon):
    """Half of them read, the others publish in turn."""
    d = daemon(WorkerThreads=4, WorkerThreadsMax=4)
    page, lines, readers = d.script(READER), 10, []
    for _ in range(32):
        readers.append(listen(d, page, "chat"))

    def talk(name):
        for i in range(lines):
            assert publish(d, "chat", "%d.%d" % (name, i)) == 32

    threads = [threading.Thread(target=talk, args=(i,)) for i in range(32)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert publish(d, "chat", "end") == 32
    texts = {answer(r).text.split(",", 1)[1] for r in readers}
    assert len(texts) == 1, "all get the same"
    said = texts.pop().split(",")
    assert len(said) == 32 * lines + 1
    for name in range(32):
        assert [m for m in said if m.startswith("%d." % name)] == [
            "%d.%d" % (name, i) for i in range(lines)]
