"""Server-sent events: what Event writes, and when it arrives."""

import time

import pytest

from servers import PATIENCE, wait_until

DAEMON = {"WorkerThreads": 4}

STYLES = pytest.mark.parametrize("page", [
    "function main() Event('a\\nb', {event = 'tick', id = 7}) Event() Event('last') end",
    "function main(env, con) con:event('a\\nb', {event = 'tick', id = 7}) con:event() "
    "con:event('last') end",
    "function handler(env, con) con:event('a\\nb', {event = 'tick', id = 7}) con:event() "
    "con:event('last') return 'what was sent is the page' end",
], ids=["v2", "v1", "2009"])


def events(text):
    """What a browser makes of a stream (HTML standard, 9.2.6): (type, data, last id)."""
    found, last = [], ""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    kind, data = "", []
    for line in lines[:-1]:
        name, _, value = line.partition(":")
        value = value[1:] if value.startswith(" ") else value
        if line == "":
            if data:
                found.append((kind or "message", "\n".join(data), last))
            kind, data = "", []
        elif name == "data":
            data.append(value)
        elif name == "event":
            kind = value
        elif name == "id":
            last = value
    return found


@STYLES
def test_event_in_each_style(web, page):
    response = web.run(page)
    assert response.status == 200 and response.ended, response
    assert events(response.text) == [("tick", "a\nb", "7"), ("message", "last", "7")]
    assert "\n\n:\n\n" in response.text


def test_first_event_sets_the_headers(web):
    response = web.main("Event('x')")
    assert response.all("Content-Type") == ["text/event-stream"]
    assert response.all("Cache-Control") == ["no-store"]
    assert response.all("X-Accel-Buffering") == ["no"]


def test_first_event_leaves_what_the_script_has_set(web):
    response = web.main("Header('Cache-Control', 'no-cache') RespStatus(201) Event('x')")
    assert response.all("Cache-Control") == ["no-cache"] and response.status == 201


def test_event_replaces_the_configurations_defaults(daemon):
    d = daemon(DefaultHeaders="Cache-Control: max-age=60\r\nX-Here: 1\r\n",
               DefaultContentType="text/html; charset=utf-8")
    response = d.main("Event('x')")
    assert response.all("Content-Type") == ["text/event-stream"]
    assert response.all("Cache-Control") == ["no-store"]
    assert response.all("X-Here") == ["1"]


@pytest.mark.parametrize("data", ["", "x", "a\nb", "a\rb", "a\r\nb", "\n", "\r\n\r", " lead",
                                  "data: x", ":", "z\u00fcrich", "a\0b", "x" * 300000,
                                  "\n" * 20000])
def test_data_arrives_as_it_was(web, data):
    page = web.script("function main() Event(Receive()) end")
    got = events(web.post(page, data.encode()).text)
    assert [e[1] for e in got] == [data.replace("\r\n", "\n").replace("\r", "\n")]


@pytest.mark.parametrize("call, names", [
    ("Event('x', {event = 'a\\nb'})", "#2 to 'Event' (event: "),
    ("con:event('x', {id = 'a\\0b'})", "#2 to 'event' (id: "),
    ("Event('x', {retry = 0.5})", "#2 to 'Event' (retry: "),
    ("Event({})", "#1 to 'Event'"), ("con:event('x', 1)", "#2 to 'event'")])
def test_wrong_argument_is_named_and_sends_nothing(web, call, names):
    response = web.main("local _, m = pcall(function() %s end) Send(m)" % call)
    assert names in response.text and "data:" not in response.text


def test_event_is_sent_at_once(web):
    page = web.script("function main() Event(1) Receive() Event(2) end")
    c = web.open(page)
    assert b"data: 1\n\n" in c.read_until("data: 1\n\n")
    assert c.end().response(timeout=PATIENCE, before=b"\r\n\r\n").body == b"data: 2\n\n"


def test_event_returns_false_once_the_client_is_gone(web):
    page = web.script("""
        function main() local n = 0
            while Event(('x'):rep(1000)) do n = n + 1 end
            Log("gone after ", n > 0) end""")
    c = web.open(page)
    c.read_until("data: ")
    c.close()
    web.wait_log("gone after true")


WAITS = pytest.mark.parametrize("wait", [
    "Sleep(300)", "con:sleep(300)", "while true do Sleep(0.01) end",
    "Wait(f, 'r', 300)"],
    ids=["Sleep", "con:sleep", "short sleeps", "Wait"])


@WAITS
def test_comment_is_sent_while_a_stream_waits(daemon, wait):
    d = daemon(EventKeepAlive=0.05)
    page = d.script("""
        local f = io.popen("sleep 300")
        function main(env, con) Event("x") %s end""" % wait)
    with d.open(page, "GET").end() as c:
        c.read_until("data: x\n\n")
        for _ in range(3):
            c.read_until(":\n\n")


def test_response_that_is_no_stream_gets_no_comment(daemon):
    d = daemon(EventKeepAlive=0.02)
    assert d.main("Send('a') Flush() Sleep(0.2) Send('b')").body == b"ab"


def test_no_comment_goes_into_what_the_script_has_half_sent(daemon):
    d = daemon(EventKeepAlive=0.02)
    response = d.main("Event('x') Send('data: half') Sleep(0.2) Send(' whole\\n\\n')")
    assert [e[1] for e in events(response.text)] == ["x", "half whole"]


def test_client_that_takes_no_comments_keeps_no_worker(daemon):
    """They fill its socket, as it reads nothing."""
    d = daemon(WorkerThreads=1, EventKeepAlive=0.001, WriteTimeout=0.5)
    page = d.script("function main() Event('x') local well, why = pcall(Sleep, 300) "
                    "Log('ended: ', why) end")
    hello = d.script("function main() return 'hello' end")
    with d.open(page, "GET").end():
        wait_until(lambda: d.get(hello).text == "hello" and "has gone" in d.log(), "the end")
        assert d.get(hello).text == "hello"


def test_event_after_comments_that_nobody_took(daemon):
    """The script goes on while a comment is on its way; it and the event arrive whole."""
    d = daemon(WorkerThreads=1, EventKeepAlive=0.001)
    page = d.script("function main() Event('x') Sleep(1.5) Event('y') Event('z') end")
    hello = d.script("function main() return 'hello' end")
    with d.open(page, "GET").end() as c:
        c.read_until("data: x")
        begun = time.monotonic()
        while time.monotonic() < begun + 1.7:
            assert d.get(hello).text == "hello"
        response = c.response(timeout=PATIENCE, before=b"\r\n\r\n")
    assert [e[1] for e in events(response.text)] == ["y", "z"]
    assert set(response.text.split("data: ")[0]) <= {":", "\n"}
