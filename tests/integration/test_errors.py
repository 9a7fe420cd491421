"""When things go wrong: what the client gets, what the log gets, and that nobody else
notices."""

import os
import re
import time

import pytest

from servers import PATIENCE, lua, wait_until

DAEMON = {"WorkerThreads": 2, "MaxPostSize": 10000}


def check_page(response, status):
    """A whole error page."""
    assert response.status == status and response.ended, response
    assert response.header("Content-Type").startswith("text/html")
    assert response.all("Content-Length") == [str(len(response.body))]
    assert str(status) in response.text and "<" in response.text
    return response.text


def quiet(daemon):
    """Waits until the daemon has said all it has to say about what came before."""
    daemon.main("Log('marker %d')" % time.monotonic_ns())
    marker = daemon.wait_log("marker")
    return [line for line in daemon.lines() if line.line != marker.line]


# -- no such script --

@pytest.mark.parametrize("prepare, path", [
    (None, "nothing.lua"), (None, "no/such/directory/page.lua"),
    (lambda site: os.mkdir(site.path("dir.lua")), "dir.lua"),
    (lambda site: os.mkdir(site.path("dir")), "dir/"),
    (lambda site: site.write("page.txt", "secret"), "page.txt"),
    (lambda site: site.write("page.lua.bak", "secret"), "page.lua.bak"),
    (lambda site: site.write("lua", "secret"), "lua"),
    (lambda site: site.write("file.lua", "secret"), "file.lua/info"),
    (lambda site: os.symlink("nowhere", site.path("link.lua")), "link.lua"),
], ids=lambda p: p if isinstance(p, str) else "")
def test_no_such_script_is_a_404_page_and_one_log_line(web, prepare, path):
    if prepare:
        prepare(web.site)
    web.any_errors = True
    page = check_page(web.get(path), 404)
    assert "secret" not in page
    about = [line for line in quiet(web) if web.site.path(path).rstrip("/") in line.line]
    assert len(about) == 1


def test_fifo_is_no_script_and_does_not_hold_a_worker(web):
    os.mkfifo(web.site.path("fifo.lua"))
    web.any_errors = True
    assert web.get("fifo.lua").status in (403, 404)


def test_path_in_the_404_page_is_escaped(web):
    web.any_errors = True
    page = check_page(web.get("<script>alert(1)</script>&\"'.lua"), 404)
    assert "<script>" not in page and "&lt;script&gt;" in page and "&amp;" in page


def test_path_in_the_log_is_escaped(web):
    web.any_errors = True
    assert web.get("a\nb\x1b[31m.lua").status == 404
    web.wait_log(r"a\\nb\\x1b\[31m\.lua")


@pytest.mark.parametrize("extensions, found, missing", [
    ([".lua"], ["a.lua"], ["a.lp", "a", "a.lua.txt"]),
    ([".lp", ".html"], ["a.lp", "a.html"], ["a.lua", "alp"]),
    ([], ["a.lua", "a.lp", "a"], []),
], ids=str)
def test_allowed_extensions(daemon, extensions, found, missing):
    d = daemon(AllowedExtensions=extensions, warns="AllowedExtensions: {}")
    d.any_errors = True
    for name in found + missing:
        d.site.write(name, "function main() return 'served' end")
        assert d.get(name).status == (200 if name in found else 404)


def test_script_that_appears_is_served(web):
    web.any_errors = True
    assert web.get("late.lua").status == 404
    web.site.write("late.lua", "function main() return 'here' end")
    wait_until(lambda: web.get("late.lua").text == "here", "the new script")


def test_unreadable_script_is_a_403_page_and_errno_is_in_the_log(daemon, site):
    as_root = os.geteuid() == 0
    d = daemon(**({"User": "nobody"} if as_root else {}))
    path = site.write("secret.lua", "function main() return 'secret' end")
    os.chmod(path, 0)
    d.any_errors = True
    assert "secret'" not in check_page(d.get("secret.lua"), 403)
    assert path in d.wait_log("(?i)permission denied").line
    os.chmod(path, 0o644)
    wait_until(lambda: d.get("secret.lua").status == 200, "the script that was made readable")


@pytest.mark.parametrize("given", [None, ""])
def test_no_script_filename_is_a_500_page_and_the_log_says_what_to_add(web, given):
    web.any_errors = True
    check_page(web.get("x.lua", SCRIPT_FILENAME=given), 500)
    web.wait_log(r"fastcgi_param\s+SCRIPT_FILENAME\s+\$document_root\$fastcgi_script_name")


# -- errors in scripts --

FAULTS = [  # what the script is, the message in log and page, whether there is a traceback
    ("syntax error", "function main()\n  local x = = 1\nend", r"\.lua:2: .*'='", False),
    ("error at load", "local function inner()\n  error('at load')\nend\ninner()",
     r"\.lua:2: at load", True),
    ("no entry point", "x = 1", r"main", False),
    ("entry point that is no function", "main = 5", r"main|attempt to call", False),
    ("string", "function main()\n\n  error('told so')\nend", r"\.lua:3: told so", True),
    ("runtime error", "function main()\n  return nil + 1\nend",
     r"\.lua:2: attempt to perform arithmetic on a nil", True),
    ("deep inside", "local function inner()\n error('deep') end\n"
                    "function main() inner() end", r"\.lua:2: deep", True),
    ("string without position", "function main() error('bare', 0) end", r"bare", True),
    ("table", "function main() error({code = 7}) end", r"table", True),
    ("nil", "function main() error(nil) end", r"nil", True),
    ("no value", "function main() error() end", r"nil", True),
    ("number", "function main() error(42, 0) end", r"42", True),
    ("boolean", "function main() error(false) end", r"false|boolean", True),
    ("function", "function main() error(print) end", r"function", True),
    ("__tostring", "function main() error(setmetatable({}, {__tostring = "
                   "function() return 'its own words' end})) end", r"its own words", True),
    ("__tostring that fails", "function main() error(setmetatable({}, {__tostring = "
                              "function() error('again') end})) end", r"\.lua", True),
    ("__tostring that gives no string", "function main() error(setmetatable({}, {__tostring = "
                                        "function() return {} end})) end", r"\.lua", True),
    ("yield", "function main() coroutine.yield(1) end", r"\.lua|yield", False),
    ("stack overflow", "function main() local function f() return 1 + f() end f() end",
     r"stack overflow|memory limit", True),
    ("in a coroutine", "function main()\n"
                       "  assert(coroutine.resume(coroutine.create(function()\n"
                       "    error('inside') end)))\nend", r"\.lua:3: inside", True),
]
EACH_FAULT = pytest.mark.parametrize("source, message, traceback", [f[1:] for f in FAULTS],
                                     ids=[f[0] for f in FAULTS])


@EACH_FAULT
def test_fault_is_a_500_page_and_message_and_traceback_are_in_the_log(
        web, source, message, traceback):
    name = web.script(source)
    page = check_page(web.get(name), 500)
    assert web.site.root not in page and "traceback" not in page.lower()
    line = web.expect_error(message)
    assert line.script == web.site.path(name) or web.site.path(name) in line.line
    if traceback:
        web.wait_log("stack traceback:", "error")
        assert re.search(r"(?m)^.*%s:\d+: in " % re.escape(name), web.log()[web.mark:])
    web.main("return 'healthy'")


def test_traceback_in_the_log_is_full(web):
    """Every level of it, and each line of it a line of the log."""
    web.run("local function c()\n error('x') end\nlocal function b() c() return 1 end\n"
            "local function a() b() return 1 end\nfunction main() a() return 1 end")
    web.expect_error("x")
    for function in ("upvalue 'c'", "upvalue 'b'", "upvalue 'a'"):
        web.wait_log("in (function <.*>|%s)" % function, "error")


@pytest.mark.parametrize("option", ["ShowErrors", "showerrors"])
def test_show_errors_adds_message_and_traceback_escaped(daemon, option):
    d = daemon(**{option: True}, warns=option)
    d.any_errors = True
    page = check_page(d.run("function main()\n error('<b>bold</b> & \"quoted\"') end"), 500)
    assert "<b>bold" not in page
    assert re.search(r"\.lua:2: &lt;b&gt;bold&lt;/b&gt; &amp; (&quot;|&#34;)quoted", page)
    assert "in function" in page
    page = check_page(d.run("return +"), 500)
    assert re.search(r"\.lua:1: ", page)


def test_nothing_of_the_script_is_in_its_error_page(web):
    response = web.run("function main() Header('X-A', '1') Header('Set-Cookie', 'a=1') "
                       "Send('half a page') RespContentType('text/plain') error('x') end")
    assert "half a page" not in check_page(response, 500)
    assert response.header("X-A") is None and response.header("Set-Cookie") is None
    web.expect_error("x")


@pytest.mark.parametrize("keep", [False, True])
def test_error_after_a_flush_cuts_the_stream_and_ends_the_connection(web, keep):
    page = web.script("function main() Send('sent') Flush() Send('unsent') error('late') end")
    with web.connect() as c:
        c.begin(web.site.params(page), keep=keep).end()
        response = c.response()
        assert response.status == 200 and response.body.startswith(b"sent")
        assert b"500" not in response.raw and b"<" not in response.body
        assert response.cut and response.closed
        assert c.is_closed(PATIENCE)
    web.expect_error(r"\.lua:1: late")
    web.wait_log("stack traceback:", "error")


def test_show_errors_shows_nothing_behind_a_flush(daemon):
    d = daemon(ShowErrors=True)
    response = d.run("function main() Send('sent') Flush() error('late') end")
    assert response.body == b"sent" and response.cut
    d.expect_error("late")


def test_error_after_a_flush_with_a_content_length_cuts_it_too(web):
    response = web.run("function main() Header('Content-Length', '4') Send('sent') Flush() "
                       "error('late') end")
    assert response.body == b"sent" and response.cut and response.closed
    web.expect_error("late")


def test_error_leaves_the_state_usable(solo):
    page = solo.script("n = 0 function main() n = n + 1 "
                      "if Env.QUERY_STRING == 'fail' then error('wanted') end Send(n) end")
    assert solo.get(page).text == "1"
    for _ in range(2):  # at the third the state is renewed: LuaMaxErrors
        assert solo.get(page, "fail").status == 500
    assert solo.get(page).text == "4"
    solo.expect_error("wanted")


# A global that breaks at "break" and is never made again by the script itself.
BROKEN = """
made = 0
function main()
    local how = Env.QUERY_STRING
    if how == "break" then connection = nil end
    if how == "load" then connection = {} return "loaded" end
    if how == "body" then Receive() Receive() end
    if how == "form" then lf.parse(("a&"):rep(1001)) end
    if how == "404" then RespStatus(404) return "no such thing" end
    assert(connection, "the connection is gone")
    served = (served or 0) + 1
    return "served " .. served
end
connection = {}"""


def outcomes(daemon, page, *queries):
    return [daemon.get(page, query).status for query in queries]


@pytest.mark.parametrize("options, most", [({}, 3), ({"LuaMaxErrors": 1}, 1),
                                           ({"LuaMaxErrors": 5}, 5)], ids=str)
def test_state_whose_requests_fail_is_renewed(daemon, options, most):
    d = daemon(WorkerThreads=1, **options)
    page = d.script(BROKEN)
    assert d.get(page).text == "served 1"
    assert outcomes(d, page, "break", *[""] * (most - 1)) == [500] * most
    assert d.get(page).text == "served 1"
    line = d.wait_log(r"LuaMaxErrors", "warning")
    assert "%d requests in a row" % most in line.text and line.script.endswith(page)
    d.expect_error("the connection is gone")


def test_state_whose_requests_fail_is_kept_without_lua_max_errors(daemon):
    d = daemon(WorkerThreads=1, LuaMaxErrors=0)
    page = d.script(BROKEN)
    assert outcomes(d, page, "break", *[""] * 20) == [500] * 21
    assert outcomes(d, page, "load", "") == [200, 200]
    d.expect_error("the connection is gone")


def test_request_that_succeeds_starts_the_count_of_failures_again(daemon):
    d = daemon(WorkerThreads=1)
    page = d.script(BROKEN)
    assert d.get(page).text == "served 1"
    for good in "load", "404", "load":  # an answer of 404 is no failure
        assert outcomes(d, page, "break", "") == [500, 500]
        assert d.get(page, good).status == (404 if good == "404" else 200)
    assert d.get(page).text == "served 2"  # it is the same state
    d.expect_error("the connection is gone")


def test_requests_that_clients_break_off_are_no_failures(daemon):
    d = daemon(WorkerThreads=1, MaxPostSize=10, StatusPath="/status")
    page = d.script(BROKEN)
    assert d.get(page).text == "served 1"

    def gone():
        return int(re.search("client gone: +(\\d+)", d.get("/status").text).group(1))
    for count in range(1, 6):
        assert d.post(page, [b"x" * 100], query="body").status == 413
        with d.open(page, "POST", query="body") as c:
            c.body("x")
        wait_until(lambda n=count: gone() == n, "the state to be free again")
        assert d.post(page, [b"x"], query="body", CONTENT_LENGTH=9).status == 400
        assert d.get(page, "form").status == 400
    assert d.get(page).text == "served 2"


def test_error_leaves_a_kept_connection_usable(web):
    bad, good = web.script("function main() error('bad') end"), web.script(
        "function main() return 'good' end")
    with web.connect() as c:
        for page, status in [(bad, 500), (good, 200)] * 5:
            c.begin(web.site.params(page), keep=True).end()
            assert c.response().status == status
    web.expect_error("bad")


def test_error_leaves_nothing_on_the_states_stack(solo):
    page = solo.script("function main() if Env.QUERY_STRING == 'fail' then error({}) end "
                      "return 'ok' end")
    for _ in range(300):
        assert solo.get(page, "fail").status == 500
    assert solo.get(page).text == "ok"
    solo.expect_error("table")


# -- states that are not used again --

@pytest.mark.parametrize("options, fault, status", [
    ({"RequestTimeout": 1}, "while true do end", 504),
    ({"ScriptMemoryLimit": 4 << 20}, "local t = {} while true do t[#t + 1] = {} end", 500),
], ids=["time", "memory"])
def test_state_that_ran_out_is_discarded(daemon, options, fault, status):
    d = daemon(WorkerThreads=1, **options)
    d.any_errors = True
    page = d.script("n = 0 function main() n = n + 1 "
                    "if Env.QUERY_STRING == 'fail' then %s end Send(n) end" % fault)
    assert [d.get(page).text for _ in range(2)] == ["1", "2"]
    check_page(d.get(page, "fail"), status)
    assert d.get(page).text == "1"
    d.wait_log(r"\.lua", "error")


@pytest.mark.parametrize("option", ["RequestTimeout", "ScriptMemoryLimit"])
def test_limit_of_zero_is_switched_off(daemon, option):
    d = daemon(**{option: 0}, warns=option)
    assert d.main("local t = {} for i = 1, 2000000 do t[i] = i end return #t").text == "2000000"


# -- bodies that are too large --

def reading(code):
    return "function main(env, con) %s end" % code


READERS = pytest.mark.parametrize("read", [
    "Send(#Receive())",
    "local n = 0 for p in function() return con:gets(1000) end do n = n + #p end Send(n)",
    "local n = 0 repeat local p = Receive(4096) n = n + #p until p == '' Send(n)",
])


@READERS
@pytest.mark.parametrize("claim", ["true", None, "-1", "10", "0", ""])
def test_body_over_the_limit_is_a_413_page_counted_in_real_bytes(web, read, claim):
    """Whatever CONTENT_LENGTH claims."""
    page = web.script(reading(read))
    body = [b"x" * 3000] * 4
    response = web.post(page, body, CONTENT_LENGTH="12000" if claim == "true" else claim)
    check_page(response, 413)
    about = [line for line in quiet(web) if web.site.path(page) in line.line]
    assert len(about) == 1
    web.declared += about


@READERS
@pytest.mark.parametrize("claim", ["true", None, "-1"])
def test_body_of_just_the_limit_is_taken(web, read, claim):
    page = web.script(reading(read))
    response = web.post(page, [b"x" * 2500] * 4,
                        CONTENT_LENGTH="10000" if claim == "true" else claim)
    assert (response.status, response.text) == (200, "10000")


def test_body_that_says_it_is_too_large_is_refused_before_it_comes(web):
    page = web.script(reading("Send('ran') Receive()"))
    with web.connect() as c:
        c.begin(web.site.params(page, "POST", CONTENT_LENGTH="10001"))
        check_page(c.response(), 413)
    web.declared += [line for line in quiet(web) if line.level == "error"]


@pytest.mark.parametrize("option", ["MaxPostSize", "maxpost"])
def test_limit_of_the_body_by_either_name(daemon, option):
    d = daemon(**{option: 100})
    d.any_errors = True
    page = d.script(reading("Send(#Receive())"))
    assert d.post(page, b"x" * 100).text == "100"
    assert d.post(page, b"x" * 101).status == 413


def test_body_limit_of_zero_is_none(daemon):
    assert daemon(MaxPostSize=0).main("Send(#Receive())", "POST",
                                      body=b"x" * 3000000).text == "3000000"


def test_body_limit_is_a_mebibyte_by_default(daemon):
    d = daemon()
    d.any_errors = True
    page = d.script(reading("Send(#Receive())"))
    assert d.post(page, b"x" * 1048576).text == "1048576"
    assert d.post(page, b"x" * 1048577).status == 413


# -- the client goes away --

@pytest.mark.parametrize("streaming", [True, False])
def test_client_that_went_away_is_no_error_and_costs_nothing_more(daemon, streaming):
    d = daemon(LogLevel="debug", WorkerThreads=1)
    page = d.script("""
        function main()
            if Env.QUERY_STRING == "state" then Send(tostring(finished)) return end
            %s
            Log("begun") repeat until io.open("gone")
            for i = 1, 200 do Send(("x"):rep(100000)) %s end
            finished = true
        end""" % (("Flush()", "Flush()") if streaming else ("", "if i % 50 == 0 then Reset() end")))
    c = d.open(page).end()
    d.wait_log("begun")
    c.close()
    d.site.write("gone", "")
    assert d.get(page, "state", timeout=PATIENCE).text == "true"
    assert not [line for line in d.lines() if line.level in ("warning", "error")]
    d.wait_log("(?i)client|peer|gone|closed|abort", "debug")


# -- nobody else notices --

def test_bad_requests_cost_no_state_slot_and_no_worker(daemon):
    d = daemon(WorkerThreads=1, LuaMaxStates=1, LuaTotalStates=1)
    d.any_errors = True
    bad = [d.script(source) for _, source, _, _ in FAULTS] + ["nothing.lua"]
    good = d.script("function main() Send('good ', ThreadData()[Env.SCRIPT_FILENAME]) end")
    for page in bad * 3:
        assert d.get(page).status in (404, 500)
        response = d.get(good)
        assert (response.status, response.text) == (200, "good 1"), page


def test_bad_requests_do_not_disturb_running_ones(daemon):
    d = daemon(**DAEMON, ReadTimeout=600, RequestTimeout=600)  # emulated, they take long
    page = d.script("function main() Send('a') Flush() Receive() Send('b') end")
    held = d.open(page)
    held.read_until("a")
    for _ in range(2):
        for _, source, _, _ in FAULTS:
            assert d.run(source).status == 500
    d.any_errors = True
    assert held.end().response().raw == b"b"


@pytest.mark.parametrize("text", ["%s%s%s%n%n%n%x", "line\nbreak", "nul\0byte", "x" * 50000])
def test_error_text_is_data(web, text):
    check_page(web.run("function main() error(%s) end" % lua(text)), 500)
    web.any_errors = True
    web.wait_log(r"\.lua:1: ", "error")
    assert all(len(line.line.encode("utf-8", "surrogateescape")) <= 8192 for line in web.lines())
