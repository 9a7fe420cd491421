"""What C code builds for a script, outside Lua's own memory: it counts against
ScriptMemoryLimit, and loops that a script's data makes long end by RequestTimeout."""

import pytest

from harm import LIMIT, at_the_limit, check_page, counting, status_field, unharmed
from servers import SANITIZER

MAX = 8 << 20  # bytes
DAEMON = {"ScriptMemoryLimit": MAX, "RequestTimeout": 60, "LuaMaxStates": 2}
MESSAGE = r"memory limit exceeded \(ScriptMemoryLimit\)"

NEST = "local t = {1} for i = 1, 40 do t = {t, t} end "  # 2^40 values in 40 tables

TOO_MUCH = [
    ("serialize", NEST + "lf.serialize(t)"),
    ("serialize of control characters", "lf.serialize(('\\0'):rep(3 << 20))"),
    ("serialize in pcall", NEST + "while true do pcall(lf.serialize, t) end"),
    ("Send beside what Lua has", "keep = ('x'):rep(5 << 20) Send(('y'):rep(1000):rep(1 << 10)) "
                                 "for i = 1, 40 do Send(('z'):rep(100000)) end"),
    ("urlencode", "lf.urlencode(('\\0'):rep(4 << 20))"),
]


def peak(daemon):
    return int(status_field(daemon, "VmHWM").split()[0]) << 10


@pytest.mark.parametrize("code", [b[1] for b in TOO_MUCH], ids=[b[0] for b in TOO_MUCH])
def test_memory_outside_lua_counts_against_the_limit(solo, code):
    page = counting(solo, code)
    with unharmed(solo):
        assert solo.get(page).text == "1"
        check_page(solo.get(page, "bad"), 500)
        solo.expect_error(MESSAGE)
        assert solo.get(page).text == "1", "the state was used again"
    assert SANITIZER or peak(solo) < 40 << 20


def test_a_value_too_large_for_a_session_is_refused_before_it_takes_memory(solo):
    page = counting(solo, NEST + "return tostring(Session.SetVar('r', 'k', t))")
    with unharmed(solo):
        assert solo.get(page, "bad").text == "false"
        assert solo.get(page).text == "2"
    assert SANITIZER or peak(solo) < 40 << 20


def test_large_file_is_not_loaded_past_the_limit(solo):
    with open(solo.site.path("large.txt"), "wb") as f:
        f.truncate(200 << 20)
    with unharmed(solo):
        answer = solo.main("return tostring(loadfile('large.txt'))")
        assert answer.status in (200, 500)
        solo.any_errors = True
    assert SANITIZER or peak(solo) < 60 << 20


def test_garbage_makes_room_for_what_is_outside_lua(solo):
    """What is no longer needed is collected before a script is said to be full."""
    page = counting(solo, "collectgarbage('stop') for i = 1, 60 do local s = ('x'):rep(100000) end "
                    "local s = ('y'):rep(1000000) for i = 1, 4 do Send(s) end")
    with unharmed(solo):
        assert len(solo.get(page, "bad").body) == 4000000


def test_a_sent_body_makes_room_for_the_next(solo):
    page = counting(solo, "local s = ('x'):rep(1 << 20) for i = 1, 5 do Send(s) end Flush() "
                    "for i = 1, 5 do Send(s) end")
    with unharmed(solo):
        assert [len(solo.get(page, "bad").body) for _ in range(3)] == [10 << 20] * 3


def test_message_of_an_error_may_be_long_but_is_not_kept_whole(solo):
    page = counting(solo, "error(('m'):rep(1 << 20))")
    with unharmed(solo):
        assert solo.get(page, "bad").status == 500
        assert solo.get(page).text == "2"
        solo.expect_error("mmmm")
    assert "stack traceback" in solo.log()


# -- Time --

@pytest.fixture
def hurried(daemon):
    return daemon(WorkerThreads=1, RequestTimeout=LIMIT, ScriptMemoryLimit=1 << 30, Watchdog=0)


LONG = [
    ("serialize", NEST + "lf.serialize(t)"),
    ("serialize of empty tables", "local t = {} for i = 1, 60 do t = {t, t} end lf.serialize(t)"),
    ("serialize of a string", "lf.serialize(('\\0'):rep(30 << 20))"),
]


@pytest.mark.parametrize("code", [b[1] for b in LONG], ids=[b[0] for b in LONG])
def test_long_loop_in_c_ends_by_the_time_limit(hurried, code):
    page = counting(hurried, code)
    assert hurried.get(page).text == "1"
    with at_the_limit():
        response = hurried.get(page, "bad")
    check_page(response, 504)
    hurried.expect_error("time limit exceeded")


# -- Headers --

def test_headers_are_limited_in_number(solo):
    with unharmed(solo):
        assert solo.main("""local ok, why = pcall(function()
            for i = 1, 1001 do Header("Set-Cookie", "a") end end)
            return tostring(ok) .. why""").text.startswith("false")
        assert solo.main("for i = 1, 900 do Header('Set-Cookie', 'a') end return 1").text == "1"


def test_text_of_headers_is_limited_before_it_is_read(solo):
    with unharmed(solo):
        for code in ("Header(('a'):rep(3 << 20), 'b')", "Header('a', (' '):rep(3 << 20))",
                     "con:config('headers', ('\\n'):rep(3 << 20))"):
            page = solo.script("function main(env, con) return tostring(pcall(function() %s end)) "
                               "end" % code)
            assert solo.get(page).text == "false", code
