"""Sessions: keys and cookies, values, who may have which session, time, bounds, restarts."""

import itertools
import os
import re
import signal
import stat
import subprocess
import threading
import time

import pytest

import servers
from browsers import NAME, Browser
from servers import PATIENCE, wait_until

DAEMON = {"WorkerThreads": 4, "LuaMaxStates": 12}


@pytest.fixture
def browser(web):
    return Browser(web)


# -- values --

@pytest.mark.parametrize("value, kind, text", [
    ("true", "boolean", "true"),
    ("false", "boolean", "false"),
    ("3", "integer", "3"),
    ("3.0", "float", "3.0"),
    ("-7", "integer", "-7"),
    ("math.mininteger", "integer", "-9223372036854775808"),
    ("math.maxinteger", "integer", "9223372036854775807"),
    ("1 << 53 | 1", "integer", "9007199254740993"),
    ("2^53", "float", "9.007199254741e+15"),
    ("1/0", "float", "inf"),
    ("''", "string", ""),
    ("'3'", "string", "3"),
], ids=str)
def test_a_value_keeps_its_type(browser, value, kind, text):
    assert browser.set(value) == "true"
    assert browser.do("""
        local v = Session.GetVar("r", "k")
        return (math.type(v) or type(v)) .. " " .. tostring(v)""") == kind + " " + text


def test_a_string_keeps_every_byte(browser):
    assert browser.do("""
        local all = {}
        for i = 0, 255 do all[#all + 1] = string.char(i) end
        all = table.concat(all)
        return tostring(Session.SetVar(all, all, all))""") == "true"
    assert browser.do("""
        local v = Session.GetVar("*", (function() local all = {}
            for i = 0, 255 do all[#all + 1] = string.char(i) end
            return table.concat(all) end)())
        for i = 0, 255 do assert(v:byte(i + 1) == i) end
        return #v .. " " .. type(v)""") == "256 string"


def test_a_string_of_any_length_comes_back_whole(browser):
    """Short ones are read without asking for memory."""
    for length in (0, 1, *range(245, 265), 1000, 60000):
        assert browser.do("""
            Session.SetVar("r", "k", ("x"):rep(%d) .. "end")
            return tostring(Session.GetVar("r", "k") == ("x"):rep(%d) .. "end")
            """ % (length, length)) == "true", length


def test_a_table_is_copied_in_and_out(browser):
    assert browser.do("""
        local t = {1, 2.0, "three", {deep = {deeper = true}}, [10] = false, [1.5] = "x",
                   [true] = "yes"}
        local kept = Session.SetVar("r", "k", t)
        t[4].deep.deeper = "changed after it was stored"
        Session.GetVar("r", "k")[1] = "changed in a copy"
        return tostring(kept)""") == "true"
    assert browser.do("""
        local t = Session.GetVar("r", "k")
        return table.concat({math.type(t[1]), t[1], math.type(t[2]), t[3],
            tostring(t[4].deep.deeper), tostring(t[10]), t[1.5], t[true],
            tostring(getmetatable(t))}, " ")""") == "integer 1 float three true false x yes nil"


@pytest.mark.parametrize("value", [
    "print", "function() end", "coroutine.create(main)", "io.stdout", "{1, {print}}",
    "{[print] = 1}", "(function() local t = {}; t.t = {t}; return t end)()",
    "(function() local t = {}; for i = 1, 1000 do t = {t} end return t end)()"])
def test_what_cannot_be_kept_is_refused_and_logged(web, browser, value):
    assert browser.set("'before'") == "true"
    assert browser.set(value) == "false"
    web.wait_log("SetVar", "warning")
    assert browser.get() == "before"


def test_nil_deletes(browser):
    assert browser.set("1") == "true"
    assert browser.set("nil") == "true"
    assert browser.get() == "nil"


# -- realms --

def test_realms_are_apart(browser):
    assert browser.set("'one'", realm="a") == browser.set("'two'", realm="b") == "true"
    assert (browser.get(realm="a"), browser.get(realm="b"), browser.get(realm="c")) == (
        "one", "two", "nil")


def test_has_realm_and_clear(browser):
    has = "Session.HasRealm('r')"
    assert browser.value(has) == "false"
    browser.set("1")
    browser.set("2", realm="other")
    assert browser.value(has) == "true"
    browser.do("Session.Clear('r')")
    assert browser.value(has) == "false"
    assert (browser.get(), browser.get(realm="other")) == ("nil", "2")


def test_star_is_every_realm(browser):
    for realm in "zebra", "ant", "mouse":
        browser.set("'%s'" % realm, realm=realm)
    assert browser.get(realm="*") == "zebra"
    assert browser.set("'all'", realm="*") == "true"
    assert [browser.get(realm=r) for r in ("zebra", "ant", "mouse", "*")] == ["all"] * 4
    browser.do("Session.Clear('*')")
    assert browser.value("Session.HasRealm('zebra')") == "false"
    assert browser.get(realm="*") == "nil"
    assert browser.set("1", realm="*") == "false"


# -- starting, using, ending --

def test_nothing_is_started_by_looking(browser):
    assert browser.value("Session.GetVar('r', 'k')") == "nil"
    assert browser.value("Session.HasRealm('r')") == "false"
    browser.do("Session.Clear('*')")
    browser.do("Session.Delete()")
    assert browser.value("Session.Id()") == "nil"
    assert browser.keys == [] and browser.key is None


def test_start_and_setvar_start_one(web, browser):
    browser.started()
    assert len(browser.keys) == 1
    other = Browser(web)
    assert other.set("1") == "true"
    assert len(other.keys) == 1 and other.keys != browser.keys


def test_the_cookie_is_sent_once(browser):
    browser.started()
    for body in ("Session.Start()", "Session.SetVar('r', 'k', 1)", "Session.GetVar('r', 'k')",
                 "Session.Start() Session.Start()"):
        browser.do(body)
    assert len(browser.keys) == 1


def test_one_request_starts_one_session(browser):
    browser.do("Session.Start() Session.SetVar('r', 'k', 1) Session.Start()")
    assert len(browser.keys) == 1 and browser.get() == "1"


def test_reset_keeps_the_session(browser):
    browser.do("Session.SetVar('r', 'k', 1) Reset()")
    assert browser.get() == "1"


def test_delete_ends_it_and_takes_the_cookie_away(web, browser):
    browser.set("1")
    key = browser.key
    response = browser.serve(web.script("function main() Session.Delete() end"))
    [line] = response.all("Set-Cookie")
    assert line.startswith(NAME + "=;") and "Max-Age=0" in line and "Path=/" in line
    assert browser.key is None
    assert Browser(web, key).get() == "nil"


def test_after_delete_another_can_be_started(web, browser):
    browser.set("1")
    old = browser.key
    browser.do("Session.Delete() Session.SetVar('r', 'new', 2)")
    assert browser.key and browser.key != old
    assert (browser.get(), browser.get("new")) == ("nil", "2")
    assert Browser(web, old).get() == "nil"


def test_no_session_can_be_started_after_the_head_is_sent(web, browser):
    assert browser.do("Flush() Send(tostring(Session.SetVar('r', 'k', 1)))") == "false"
    assert browser.keys == []
    web.wait_log("flush", "warning")


def test_a_started_session_can_be_used_after_the_head_is_sent(browser):
    browser.started()
    assert browser.do("Flush() Send(tostring(Session.SetVar('r', 'k', 1)))") == "true"
    assert browser.get() == "1"


def test_v1_has_the_same_in_lower_case(browser):
    assert browser.do("""
        local s, out = con.session, {}
        local function note(...) for i = 1, select("#", ...) do
            out[#out + 1] = tostring((select(i, ...))) end end
        note(s:start(), s:setvar("r", "k", {1, 2.0}), s:hasrealm("r"), s:hasrealm("q"),
             s:getvar("r", "k")[2], s:getvar("r", "none"))
        note(#s:id(), s:regenerate())
        s:clear("r")
        note(s:getvar("r", "k"), s:setvar("r", "k", print))
        s:delete()
        note(s:id(), s:getvar("r", "k"))
        return table.concat(out, " ")""") == (
            "true true true false 2.0 nil 16 true nil false nil nil")


def test_both_styles_share_the_session(browser):
    assert browser.do("""con.session:setvar("r", "k", 1)
        return tostring(Session.GetVar("r", "k"))""") == "1"
    assert browser.do("return tostring(con.session:getvar('r', 'k'))") == "1"


@pytest.mark.parametrize("call", [
    "Session.SetVar()", "Session.SetVar('r')", "Session.SetVar({}, 'k', 1)",
    "Session.GetVar('r')", "Session.HasRealm()", "Session.Clear()", "con.session.start()"])
def test_wrong_arguments_are_lua_errors(browser, call):
    assert browser.value("pcall(function() %s end)" % call) == "false"


# -- keys --

def test_a_key_is_24_letters_and_digits_by_default(web):
    keys = [Browser(web).started().key for _ in range(50)]
    assert all(re.fullmatch("[A-Za-z0-9]{24}", key) for key in keys)
    assert len(set(keys)) == len(keys)


def test_key_length_is_configurable(daemon):
    d = daemon(SessionKeyLen=40)
    browser = Browser(d).started()
    assert len(browser.key) == 40
    assert browser.set("1") == "true" and browser.get() == "1"


@pytest.mark.parametrize("key", [
    "A" * 24, "A" * 23, "A" * 25, "", "!" * 24, "A" * 4000, "%00" * 8, "\"quoted\"",
    "A" * 23 + "/"], ids=len)
def test_a_key_of_the_clients_own_is_never_adopted(web, key):
    browser = Browser(web, key)
    assert browser.get() == "nil"
    assert browser.set("1") == "true"
    assert browser.keys and browser.key != key
    assert Browser(web, key).get() == "nil"


def test_the_key_of_a_dead_session_is_never_adopted(web):
    browser = Browser(web).started()
    key = browser.key
    browser.do("Session.Delete()")
    again = Browser(web, key).started()
    assert again.key != key


def test_a_planted_cookie_does_not_hide_the_real_one(web, browser):
    browser.set("'mine'")
    page = web.script("function main() return Session.GetVar('r', 'k') end")
    for order in ("{n}={f}; {n}={k}", "{n}={k}; {n}={f}", "{n}; x=y; {n}={k}"):
        header = order.format(n=NAME, f="B" * 24, k=browser.key)
        assert web.get(page, HTTP_COOKIE=header).text == "mine"


def test_id_is_a_tag_that_says_nothing_of_the_key(web, browser):
    browser.started()
    tag = browser.value("Session.Id()")
    assert re.fullmatch("[0-9a-f]{16}", tag) and tag == browser.value("Session.Id()")
    assert tag not in browser.key and browser.key not in tag
    assert tag != Browser(web).started().value("Session.Id()")
    assert Browser(web, tag).get() == "nil"


def test_the_key_is_in_no_log(web, browser):
    browser.started()
    browser.set("print")
    browser.set("('x'):rep(100000)")
    Browser(web, browser.key, REMOTE_ADDR="198.51.100.1", HTTP_USER_AGENT="x").get()
    web.wait_log("does not match", "info")
    assert browser.key not in web.log()


def test_regenerate_gives_the_same_data_a_new_key(web, browser):
    browser.set("{1, 2, 3}")
    old, tag = browser.key, browser.value("Session.Id()")
    assert browser.value("Session.Regenerate()") == "true"
    assert browser.key != old and len(browser.keys) == 2
    assert browser.value("#Session.GetVar('r', 'k')") == "3"
    assert browser.value("Session.Id()") != tag
    assert Browser(web, old).get() == "nil"


def test_regenerate_and_then_use_in_one_request(browser):
    browser.set("1")
    browser.do("Session.Regenerate() Session.SetVar('r', 'k', 2) Session.Regenerate()")
    assert len(browser.keys) == 2
    assert browser.get() == "2"


def test_regenerate_without_a_session_is_false(browser):
    assert browser.value("Session.Regenerate()") == "false"
    assert browser.keys == []


def test_the_old_key_dies_in_requests_that_run_already(web, browser):
    browser.set("1")
    page = web.script("""function main() local before = Session.GetVar("r", "k") Flush() Receive()
        Send(tostring(before), " ", tostring(Session.SetVar("r", "k", 2)), " ",
             tostring(Session.GetVar("r", "k"))) end""")
    held = web.hold(page, HTTP_COOKIE="%s=%s" % (NAME, browser.key))
    browser.do("Session.Regenerate()")
    assert held.end().response().raw == b"1 false nil"
    assert browser.get() == "1"


# -- settings --

def check(scratch, **options):
    """What `-t` says of a configuration: (status, text)."""
    path = os.path.join(scratch(), "config.lua")
    with open(path, "w", encoding="ascii") as f:
        f.writelines("%s = %s\n" % (k, servers.lua(v)) for k, v in options.items())
    done = subprocess.run([servers.BINARY, "-t", "-c", path], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE,
                          check=False)
    return done.returncode, done.stdout.decode()


@pytest.mark.parametrize("options, text", [
    ({"SessionKeyLen": 1000}, "SessionKeyLen"),
    ({"SessionCookieSameSite": "None", "SessionCookieSecure": False}, "SessionCookieSameSite"),
    ({"SessionCookieSameSite": "None"}, "SessionCookieSameSite"),
    ({"SessionCookieSameSite": "Sometimes"}, "SessionCookieSameSite"),
    ({"SessionName": "__Host-x", "SessionCookieSecure": False}, "SessionName"),
    ({"SessionName": "__Host-x", "SessionCookieSecure": True,
      "SessionCookieDomain": "example.org"}, "SessionName"),
    ({"SessionName": "a b"}, "SessionName"),
    ({"SessionName": "a;b"}, "SessionName"),
], ids=str)
def test_contradictory_settings_are_refused_at_start(scratch, options, text):
    status, said = check(scratch, **options)
    assert status == 1 and re.search(text, said), said


def test_the_shortest_key_length_is_accepted(scratch):
    status, said = check(scratch, SessionKeyLen=22)
    assert status == 0 and "SessionKeyLen" not in said, said


@pytest.mark.parametrize("length, bits", [(21, "12[45]"), (8, "47")])
def test_a_shorter_key_length_is_bent_with_a_warning_that_counts_its_bits(scratch, length, bits):
    status, said = check(scratch, SessionKeyLen=length)
    assert status == 0 and re.search(
        r"warning: .*SessionKeyLen.*\b%d\b.*\b%s.*; 22 is used" % (length, bits), said), said


# -- score --

def test_address_agent_and_language_make_the_score(web):
    here = {"REMOTE_ADDR": "192.0.2.1", "HTTP_USER_AGENT": "Agent", "HTTP_ACCEPT_LANGUAGE": "en"}
    there = {"REMOTE_ADDR": "2001:db8::1", "HTTP_USER_AGENT": "Other",
             "HTTP_ACCEPT_LANGUAGE": "fr"}
    scores = {"REMOTE_ADDR": 3, "HTTP_USER_AGENT": 2, "HTTP_ACCEPT_LANGUAGE": 1}
    for right in itertools.product([True, False], repeat=3):
        browser = Browser(web, **here)
        browser.set("1")
        params = {name: (here if ok else there)[name] for name, ok in zip(scores, right)}
        score = sum(scores[name] for name, ok in zip(scores, right) if ok)
        found = Browser(web, browser.key, **params).get()
        assert found == ("1" if score >= 3 else "nil"), params


def test_the_identity_follows_the_client_only_after_a_match(web):
    browser = Browser(web, REMOTE_ADDR="192.0.2.1", HTTP_USER_AGENT="Agent",
                      HTTP_ACCEPT_LANGUAGE="en")
    browser.set("1")
    thief = Browser(web, browser.key, REMOTE_ADDR="198.51.100.1", HTTP_USER_AGENT="Agent",
                    HTTP_ACCEPT_LANGUAGE="fr")
    assert [thief.get() for _ in range(3)] == ["nil"] * 3
    browser.params["REMOTE_ADDR"] = "192.0.2.2"  # agent and language: 3
    assert browser.get() == "1"
    browser.params["HTTP_USER_AGENT"] = "Newer"  # by the new address
    assert browser.get() == "1"
    assert Browser(web, browser.key, REMOTE_ADDR="192.0.2.1", HTTP_USER_AGENT="Agent",
                   HTTP_ACCEPT_LANGUAGE="en").get() == "nil"


@pytest.mark.parametrize("target", [0, -1])
def test_no_target_switches_the_score_off(daemon, target):
    d = daemon(SessionTargetScore=target)
    browser = Browser(d, REMOTE_ADDR="192.0.2.1", HTTP_USER_AGENT="Agent")
    browser.set("1")
    assert Browser(d, browser.key, REMOTE_ADDR="198.51.100.1", HTTP_USER_AGENT="x",
                   HTTP_ACCEPT_LANGUAGE="fr").get() == "1"


# -- time --

def pause_until(moment):
    wait_until(lambda: time.monotonic() >= moment, "the time to pass")


def test_a_session_ends_after_session_time_without_use(daemon):
    d = daemon(SessionTime=1, WorkerThreads=1)
    page = d.script("function main() return tostring(Session.GetVar('r', 'k')) end")
    browser = Browser(d)
    browser.set("1")
    kept = 0
    begun = time.monotonic()
    while time.monotonic() < begun + 2.5:  # in use all the time, it outlives its second
        before = time.monotonic()
        text = browser.serve(page).text
        if text != "1":
            break
        kept = before
        time.sleep(0.02)
    assert kept - begun > 2 or time.monotonic() - kept > 1  # the machine may have slept
    key = browser.key
    pause_until(time.monotonic() + 1.01)
    assert browser.serve(page).text == "nil"
    assert Browser(d, key).started().key != key


def test_a_session_ends_at_session_max_age_however_it_is_used(daemon):
    d = daemon(SessionMaxAge=1)
    page = d.script("function main() return tostring(Session.GetVar('r', 'k')) end")
    browser = Browser(d)
    begun = time.monotonic()
    browser.set("1")
    wait_until(lambda: browser.serve(page).text == "nil", "the session to be too old")
    assert time.monotonic() - begun > 0.99


def test_new_times_hold_for_sessions_that_exist(daemon):
    d = daemon(SessionMaxAge=1000)
    browser = Browser(d)
    browser.set("1")
    pause_until(time.monotonic() + 1.01)
    assert browser.get() == "1"
    d.reload(SessionMaxAge=1)
    wait_until(lambda: browser.get() == "nil", "the reload to be in force")


# -- bounds --

def test_the_longest_idle_session_makes_room(daemon):
    d = daemon(SessionMaxCount=3)
    first, second, third = [Browser(d) for _ in range(3)]
    for n, browser in enumerate((first, second, third)):
        browser.set(str(n))
        pause_until(time.monotonic() + 0.005)
    assert first.get() == "0"  # now the second is the longest idle
    Browser(d).started()
    assert (first.get(), second.get(), third.get()) == ("0", "nil", "2")


def test_more_than_session_max_size_is_refused(web, browser):
    assert browser.set("('x'):rep(60000)", "big") == "true"
    assert browser.set("('x'):rep(6000)", "more") == "false"
    web.wait_log("SessionMaxSize", "warning")
    assert browser.get("more") == "nil"
    assert browser.value("#Session.GetVar('r', 'big')") == "60000"
    assert browser.set("nil", "big") == "true"
    assert browser.set("('x'):rep(6000)", "more") == "true"


def test_writing_every_realm_is_all_or_nothing(browser):
    for realm in "abc":
        assert browser.set("'old'", realm=realm) == "true"
    assert browser.set("('x'):rep(30000)", realm="*") == "false"
    assert [browser.get(realm=realm) for realm in "abc"] == ["old"] * 3
    assert browser.set("('x'):rep(20000)", realm="*") == "true"


def test_session_max_size_is_configurable(daemon):
    d = daemon(SessionMaxSize=1000)
    browser = Browser(d)
    assert browser.set("('x'):rep(1000)") == "false"
    assert browser.set("('x'):rep(500)") == "true"


@pytest.mark.alone
def test_a_million_forged_cookies_cost_no_memory(daemon):
    d = daemon(WorkerThreads=1, LogLevel="info")
    page = d.script("function main() return tostring(Session.GetVar('r', 'k')) end")
    keys, each = 100000 if servers.SANITIZER else 1000000, 500

    def forge(n):
        header = "; ".join("%s=%024d" % (NAME, n + i) for i in range(each))
        assert d.get(page, HTTP_COOKIE=header).text == "nil"
    for n in range(50):
        forge(n * each)
    before = d.rss()
    for n in range(50, keys // each):
        forge(n * each)
    grown = d.rss() - before
    assert grown < 512 * 1024 or servers.SANITIZER, grown


# -- threads --

COUNTER = """
function main()
    local me, n = Env.QUERY_STRING:match("(%d+)&(%d+)")
    assert(Session.SetVar("own", me, tonumber(n)))
    assert(Session.SetVar("all", me .. "/" .. n, {tonumber(n)}))
    Session.SetVar("shared", "last", me)
    assert(Session.GetVar("own", me) == tonumber(n))
    return "ok"
end"""


def test_twelve_clients_at_once_lose_nothing(daemon):
    """Requests of one session in many states and threads: every SetVar is there in the end."""
    clients, each = 12, 150
    d = daemon(WorkerThreads=12, LuaMaxStates=12, SessionMaxSize=0)
    page = d.script(COUNTER)
    browser = Browser(d).started()
    wrong = []

    def client(me):
        try:
            for n in range(each):
                text = browser.serve(page, "%d&%d" % (me, n)).text
                if text != "ok":
                    wrong.append(text)
        except Exception as problem:  # pylint: disable=broad-except
            wrong.append(problem)
    threads = [threading.Thread(target=client, args=(me,)) for me in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[:3]
    assert len(browser.keys) == 1
    assert browser.do("""
        local missing = 0
        for me = 0, %d do
            if Session.GetVar("own", tostring(me)) ~= %d then missing = missing + 1 end
            for n = 0, %d do
                local v = Session.GetVar("all", me .. "/" .. n)
                if not v or v[1] ~= n then missing = missing + 1 end
            end
        end
        return tostring(missing)""" % (clients - 1, each - 1, each - 1)) == "0"


def test_no_request_waits_for_another_of_its_session(web, browser):
    browser.set("1")
    page = web.script("""function main() Session.SetVar("r", "k", "held") Flush() Receive()
        Send(Session.GetVar("r", "k")) end""")
    held = web.hold(page, HTTP_COOKIE="%s=%s" % (NAME, browser.key))
    assert browser.get() == "held"
    assert browser.set("'meanwhile'") == "true"
    assert held.end().response().raw == b"meanwhile"


# -- restart --

def session_file(daemon):
    return os.path.join(daemon.directory, "sessions")


@pytest.fixture
def keeper(daemon):
    """A daemon with a SessionFile."""
    def make(**options):
        d = daemon(**options)
        d.stop()
        d.write_config(SessionFile=session_file(d))
        return d.start()
    return make


def test_sessions_survive_a_restart(keeper):
    d = keeper()
    browsers = [Browser(d) for _ in range(20)]
    for n, browser in enumerate(browsers):
        assert browser.set("{%d, %d.0, 'x', {true}}" % (n, n)) == "true"
    d.stop()
    mode = os.stat(session_file(d))
    assert stat.S_IMODE(mode.st_mode) == 0o600
    with open(session_file(d), "rb") as f:
        data = f.read()
    assert not any(browser.key.encode() in data for browser in browsers)
    d.start()
    for n, browser in enumerate(browsers):
        assert browser.do("""local v = Session.GetVar("r", "k")
            return v[1] .. " " .. v[2] .. " " .. v[3] .. " " .. tostring(v[4][1])""") == (
                "%d %d.0 x true" % (n, n))
        assert len(browser.keys) == 1


def test_sessions_survive_a_reload(daemon):
    d = daemon()
    browser = Browser(d)
    browser.set("1")
    d.reload(SessionMaxSize=1000)
    assert browser.get() == "1"


def test_what_expired_meanwhile_is_dropped(keeper):
    d = keeper(SessionTime=1)
    browser = Browser(d)
    browser.set("1")
    d.stop()
    pause_until(time.monotonic() + 1.01)
    d.start()
    assert browser.get() == "nil"


def test_the_client_must_match_after_a_restart(keeper):
    d = keeper()
    browser = Browser(d, REMOTE_ADDR="192.0.2.1")
    browser.set("1")
    d.stop()
    d.start()
    assert Browser(d, browser.key, REMOTE_ADDR="192.0.2.2", HTTP_USER_AGENT="x").get() == "nil"
    assert browser.get() == "1"


@pytest.mark.parametrize("damage", ["cut", "bit", "empty", "other", "longer"])
def test_a_damaged_file_is_set_aside(keeper, damage):
    d = keeper()
    browser = Browser(d)
    browser.set("1")
    d.stop()
    with open(session_file(d), "rb") as f:
        data = f.read()
    middle = len(data) // 2
    data = {"cut": data[:middle], "empty": b"", "other": b"#!/bin/sh\n" * 100,
            "bit": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1:],
            "longer": data + b"\n"}[damage]
    with open(session_file(d), "wb") as f:
        f.write(data)
    d.start()
    d.expect_error(r"SessionFile .* is damaged: .*; renamed .*\.damaged")
    with open(session_file(d) + ".damaged", "rb") as f:
        assert f.read() == data
    assert browser.get() == "nil"
    assert browser.set("2") == "true"
    d.stop()
    d.start()
    assert browser.get() == "2"


def test_a_file_that_cannot_be_written_is_no_end(keeper, scratch):
    d = keeper(SessionFile=None)
    d.stop()
    d.write_config(SessionFile=os.path.join(scratch(), "missing", "sessions"))
    d.start()
    assert Browser(d).set("1") == "true"
    d.any_errors = True
    d.stop()
    assert "cannot be written: No such file or directory" in d.log()


def fill(daemon, count, size):
    page = daemon.script("""function main()
        return tostring(Session.SetVar("r", "k", ("x"):rep(%d) .. Env.QUERY_STRING)) end""" % size)
    browsers = [Browser(daemon) for _ in range(count)]
    for n, browser in enumerate(browsers):
        assert browser.serve(page, str(n)).text == "true"
    return browsers


def stop_while_writing(daemon, browser):
    """Stops the daemon's process at a moment when it writes SessionFile; what that file has.
    A whole writing may go by unseen on a busy machine, so there is always another."""
    beside = session_file(daemon) + ".new"
    written = None
    deadline = time.monotonic() + 3 * PATIENCE
    while time.monotonic() < deadline:
        if os.path.exists(beside):
            daemon.signal(signal.SIGSTOP)
            wait_until(lambda: re.search(
                r"State:\s+T", servers.read("/proc/%d/status" % daemon.pid)), "it to stop")
            if os.path.exists(beside):
                return saved(daemon)
            daemon.signal(signal.SIGCONT)
        elif written != (now := os.stat(session_file(daemon)).st_mtime_ns):
            written = now
            assert browser.set("'changed later'", "later") == "true"
        time.sleep(0.0005)
    raise AssertionError("the timer wrote nothing")


def saved(daemon):
    """What SessionFile has."""
    with open(session_file(daemon), "rb") as f:
        return f.read()


def kill(daemon):
    daemon.signal(signal.SIGKILL)
    assert daemon.wait() == -signal.SIGKILL


def test_a_kill_while_the_timer_writes_leaves_the_last_complete_file(keeper):
    d = keeper(binary=servers.HASTY)
    browsers = fill(d, 400, 50000)
    wait_until(lambda: os.path.exists(session_file(d)) and
               saved(d).count(b"x" * 50000) == 400, "a complete file of 20 MB", 60)
    kill(d)
    d.start()
    complete = stop_while_writing(d, browsers[0])
    assert complete.count(b"x" * 50000) == 400
    kill(d)
    assert saved(d) == complete
    d.start()
    for n in 0, 1, 199, 399:
        assert browsers[n].value("#Session.GetVar('r', 'k')") == str(50000 + len(str(n)))
    # What the timer has written survives a kill as well, and the leftover is no obstacle.
    assert browsers[1].set("'written by the timer'") == "true"
    wait_until(lambda: b"written by the timer" in saved(d), "the timer to write", 60)
    kill(d)
    d.start()
    assert browsers[1].get() == "written by the timer"
    kill(d)  # at its end the hasty build would have a second for all 20 MB
    d.expected_status = -signal.SIGKILL


# -- through nginx --

def test_a_visitor_through_nginx_over_plain_http(web, nginx):
    n = nginx(web, keepalive=2)
    web.site.write("login.lua", """
        function main()
            if Env.QUERY_STRING == "in" then
                Session.Start() Session.Regenerate() Session.SetVar("login", "user", "ada")
            elseif Env.QUERY_STRING == "out" then
                Session.Delete()
            end
            return tostring(Session.GetVar("login", "user"))
        end""")
    response = n.get("login.lua?in")
    assert response.content == b"ada"
    [line] = response.headers.get_all("Set-Cookie")
    assert "Secure" not in line and "Domain" not in line
    cookie = line.partition(";")[0]
    for _ in range(3):
        response = n.get("login.lua", Cookie=cookie)
        assert response.content == b"ada" and response.headers.get_all("Set-Cookie") is None
    assert n.get("login.lua").content == b"nil"
    assert n.get("login.lua?out", Cookie=cookie).content == b"nil"
    assert n.get("login.lua", Cookie=cookie).content == b"nil"
