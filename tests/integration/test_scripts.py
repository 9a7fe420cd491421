"""A script's life: its state, its entry point, the three styles, the values and functions
that it finds."""

import itertools
import re

import pytest

import fastcgi
import servers
from servers import PATIENCE, lua

APP = {
    "yes": True, "no": False, "int": 3, "float": 3.0, "text": "z\u00fcrich \"q\" \\ \0 end",
    "list": [1, "two", [3]], "nested": {"a": {"b": {"c": "deep"}}},
    "site.example": {"color": "blue"}, "other.example": "plain",
}
DAEMON = {"WorkerThreads": 4, "Config": APP}

COUNTER = "n = (n or 0) + 1"


# -- the state --

def test_globals_and_upvalues_persist_between_requests(solo):
    page = solo.script("""
        local upvalue = 0
        function main() count = (count or 0) + 1; upvalue = upvalue + 1
            Send(count, " ", upvalue) end""")
    assert [solo.get(page).text for _ in range(3)] == ["1 1", "2 2", "3 3"]


def test_main_chunk_runs_once_per_state(solo):
    page = solo.script("loads = (loads or 0) + 1; function main() Send(loads) end")
    assert [solo.get(page).text for _ in range(3)] == ["1", "1", "1"]


def test_every_standard_library_is_open(web):
    names = "string table math io os debug coroutine utf8 package".split()
    for name in names:
        assert web.value("type(%s) .. type(require '%s')" % (name, name)) == "tabletable"
    assert web.value("_VERSION") == "Lua 5.3"


def test_scripts_do_not_see_each_others_globals(web):
    web.main("leak = 'seen'; string.leak = 'seen'")
    assert web.value("tostring(leak) .. tostring(string.leak)") == "nilnil"


def test_clones_are_isolated(web):
    page = web.script("""
        function main() n = (n or 0) + 1; Flush(); %s
            Send(n, " ", Info.State, " ", Info.Thread) end""" % servers.BLOCK)
    held = [web.hold(page) for _ in range(4)]
    counts, states, threads = zip(*(c.end().response().raw.split() for c in held))
    assert counts == (b"1",) * 4
    assert len(set(states)) == 4 and len(set(threads)) == 4


# -- the entry point --

def test_entry_point_is_looked_up_anew_each_time(solo):
    page = solo.script("""
        function main() Send("first")
            function main() Send("second"); _G.main = function() return "third" end end end""")
    assert [solo.get(page).text for _ in range(4)] == ["first", "second", "third", "third"]


@pytest.mark.parametrize("options, source, expected", [
    ({}, "function main() return 'main' end function handler() return 'handler' end", "main"),
    ({}, "function handler() return 'handler' end", "handler"),
    ({"Entrypoint": "serve"}, "function serve() return 'ok' end function main() end", "ok"),
    ({"entrypoint": "serve"}, "function serve() return 'ok' end function main() end", "ok"),
    ({"handler": "serve"}, "function serve() return 'ok' end function main() end", "ok"),
    ({"Entrypoint": "serve"}, "function main() end function handler() end", None),
    ({"Entrypoint": "main"}, "function handler() return 'handler' end", None),
    ({"handler": "main"}, "function handler() return 'handler' end", None),
    ({"Entrypoint": "handler"}, "function handler() return 'ok' end", "ok"),
], ids=str)
def test_entry_point_and_its_fallback(daemon, options, source, expected):
    d = daemon(**options)
    response = d.run(source)
    if expected is None:
        assert response.status == 500
        d.expect_error(r"\.lua")
    else:
        assert (response.status, response.text) == (200, expected)


def test_entry_point_gets_env_and_con_and_nothing_else(web):
    assert web.run("""
        function main(...) local env, con = ...
            Send(select("#", ...), " ", tostring(env == Env), " ", type(con)) end
        """).text in ("2 true table", "2 true userdata")


# -- the three styles --

@pytest.mark.parametrize("source, expected", [
    ("function handler(env, con) return '<p>hello</p>' end", "<p>hello</p>"),
    ("function main(env, con) con:puts('hello ' .. env.REQUEST_METHOD) end", "hello GET"),
    ("function main() Send('hello ', Env.REQUEST_METHOD) end", "hello GET"),
    ("function main(env, con) Send('a') con:puts('b') end", "ab"),
    ("function handler(env, con) con:puts('b') Send(Env == env and 'c') end", "bc"),
    ("function main() Flush() Send('x') Flush() Send('y') end", "xy"),
], ids=["2009", "v1", "v2", "mixed", "handler with con", "after a flush"])
def test_style(web, source, expected):
    response = web.run(source)
    assert (response.status, response.text) == (200, expected)


@pytest.mark.parametrize("values, expected", [
    ("1", "1"), ("2.5, 2.0, -3", "2.5"), ("2.0", "2.0"),
    ("'b\\0c'", "b\0c"), ("'a', 'b', 'd'", "a"), ("'', 'x'", ""),
    ("('a-b'):gsub('-', '+')", "a+b"),  # and not the count
    ("nil", ""), ("nil, 'after nil'", ""), ("true, false", ""), ("false, 'x'", ""),
    ("{}, print, 'x', coroutine.create(print)", ""),
    ("setmetatable({}, {__tostring = function() return 'no' end})", ""),
    ("string.rep('x', 100000)", "x" * 100000),
    ("table.unpack({}, 1, 200)", ""),
    ("pcall(error, 'x')", ""),
])
def test_first_returned_value_is_the_body_if_it_is_text(web, values, expected):
    response = web.main("return " + values)
    assert (response.status, response.text) == (200, expected)
    assert response.all("Content-Length") == [str(len(expected))]


@pytest.mark.parametrize("code, expected", [
    ("Send('sent')", "sent"), ("con:puts('sent')", "sent"), ("Send('sent') Flush()", "sent"),
    ("Send('sent') Flush() Reset()", "sent"), ("Send('se') Flush() Send('nt')", "sent"),
    ("con:config('buffering', false) Send('sent')", "sent"),
    ("", "returned"), ("Send('')", "returned"), ("Flush()", "returned"),
    ("Send('lost') Reset()", "returned"), ("con:puts('lost') con:reset()", "returned"),
    ("Header('X-A', '1') RespStatus(404)", "returned"),
])
def test_returned_text_counts_only_if_nothing_was_sent(solo, code, expected):
    page = "function main(env, con) %s return 'returned' end" % code
    for _ in range(2):
        assert solo.run(page).text == expected


# -- Env --

def dump(table):
    return "for k, v in pairs(%s) do Send(k, '\\1', tostring(v), '\\2') end" % table


def pairs_of(response):
    return dict(item.split("\1") for item in response.text.split("\2")[:-1])


def test_env_has_every_parameter_and_nothing_else(web):
    page = web.script("function main(env, con) %s end" % dump("Env"))
    more = {"HTTP_X_%d" % i: "value %d" % i for i in range(100)}
    more.update(X_EMPTY="", X_LONG="v" * 9000, X_BYTES="\u00e9\x7f\t=&")
    expected = {k: str(v) for k, v in web.site.params(page, **more).items()}
    got = pairs_of(web.get(page, **more))
    assert got.pop("LUAFCGID_VERSION") == "2"
    got.pop("FCGI_ROLE", None)  # libfcgi's own addition
    assert re.fullmatch("[0-9a-f]{32}", got.pop("REQUEST_ID"))
    assert got == expected


@pytest.mark.parametrize("expression, expected", [
    ("Env.QUERY_STRING", "a=1"), ("Env.HTTP_NOTHING", "nil"),
    ("math.type(Env.LUAFCGID_VERSION)", "integer"), ("Env.LUAFCGID_VERSION", "2"),
    ("type(Env.CONTENT_LENGTH)", "string"), ("Env[1]", "nil"), ("Env[{}]", "nil"),
    ("Env['']", "nil"), ("next({}) or Env.SERVER_NAME", "localhost"),
])
def test_env_holds(web, expression, expected):
    assert web.value(expression, query="a=1") == expected


def test_env_may_be_written_to(web):
    got = pairs_of(web.main("""
        Env.NEW = "new"; Env.QUERY_STRING = "changed"; Env.REMOTE_PORT = nil; Env[1] = 5
        Env.SERVER_NAME = nil; Env.SERVER_NAME = "back"
        assert(Env.NEW == "new" and env.QUERY_STRING == "changed" and Env[1] == 5)
        assert(Env.REMOTE_PORT == nil and Env.SERVER_NAME == "back")
        """ + dump("env")))
    assert (got["NEW"], got["QUERY_STRING"], got["SERVER_NAME"]) == ("new", "changed", "back")
    assert got["1"] == "5" and "REMOTE_PORT" not in got and "REMOTE_ADDR" in got


def test_env_fields_may_be_cleared_while_visiting_them(web):
    assert web.main("""
        for k in pairs(Env) do Env[k] = nil end
        for k in pairs(Env) do Send(k) end Send("none", tostring(Env.QUERY_STRING))
        """).text == "nonenil"


def test_env_is_private_to_its_request(solo):
    page = solo.script("""
        function main(env)
            Send(tostring(Env.MARK), tostring(Env.QUERY_STRING), tostring(env.X_ONCE), " ")
            Env.MARK = "left"; env.QUERY_STRING = "left"
            Env = nil
        end""")
    assert solo.get(page, "a", X_ONCE="once").text == "nilaonce "
    assert solo.get(page, "b").text == "nilbnil "


def test_env_kept_past_its_request_never_shows_another_ones(solo):
    page = solo.script("""
        function main(env)
            if kept then
                local ok, was = pcall(function() return kept.SECRET end)
                Send(tostring(ok and was == env.SECRET)); kept.ADDED = "x"
                pcall(function() for k in pairs(kept) do assert(k) end end)
                Send(tostring(env.ADDED))
            end
            kept = kept or env
        end""")
    solo.get(page, SECRET="one")
    for _ in range(3):
        assert solo.get(page, SECRET="two").text == "falsenil"


@pytest.mark.parametrize("look, seen", [
    ("Send(tostring(getmetatable(_G)), tostring(debug.getmetatable(_G)))", "nilnil"),
    ("local n = 0 for k in pairs(_G) do if want[k] then n = n + 1 end end Send(n)", "3"),
    ("Send(_ENV.Env.QUERY_STRING, _G.Cookies.a)", "qb"),
    ("local e = setmetatable({}, {__index = _G}) Send(e.Env.QUERY_STRING)", "q"),
    ("Send(coroutine.wrap(function() return Env.QUERY_STRING end)())", "q"),
    ("Send(tostring(Env == Env and Cookies == Cookies and Info == Info))", "true"),
    ("assert(Env) Env = nil Send(tostring(Env))", "nil"),
    ("Env = 5 Send(Env)", "5"),
    ("Send(tostring(LocalConfig), tostring(LocalConfig), tostring(nothing))", "nilnilnil"),
    ("setmetatable(_G, nil) Send(Env.QUERY_STRING)", "q"),
    ("debug.setmetatable(_G, {__index = error}) Send(Env.QUERY_STRING, Cookies.a)", "qb"),
    ("setmetatable(_G, {__index = function() return 'own' end}) Send(Env.QUERY_STRING, Info.State, "
     "LocalConfig)", "q1own"),
    ("setmetatable(_G, {__newindex = error, __index = error}) Send(Env.QUERY_STRING)", "q"),
])
def test_globals_of_the_request_are_ordinary_globals(solo, look, seen):
    """Whatever is looked at first, in this request and the next ones."""
    page = solo.script("want = {Env = 1, Cookies = 1, Info = 1} function main() %s end" % look)
    for _ in range(3):
        assert solo.get(page, "q", HTTP_COOKIE="a=b").text == seen


def test_module_that_forbids_undeclared_globals_leaves_those_of_the_request(solo):
    solo.site.write("forbid.lua", """
        local mt = getmetatable(_G)
        if mt == nil then mt = {}; setmetatable(_G, mt) end
        mt.__newindex = function(t, k) error("assign to undeclared " .. k, 2) end
        mt.__index = function(t, k) error("undeclared " .. k, 2) end""")
    for where in ("function main() %s end require 'forbid'",
                  "function main() require 'forbid' %s end"):
        page = solo.script(where % "Send(Env.QUERY_STRING, Cookies.a, Info.State, "
                                   "tostring(pcall(function() return nothing end)))")
        for _ in range(2):
            assert solo.get(page, "q", HTTP_COOKIE="a=b").text == "qb1false"


def test_coroutine_that_outlives_its_request_sees_the_next_ones(solo):
    page = solo.script("""
        function main(...)
            later = later or coroutine.wrap(function() while true do
                coroutine.yield(Env.QUERY_STRING) end end)
            Send(later()) end""")
    assert [solo.get(page, q).text for q in "abc"] == ["a", "b", "c"]


def test_concurrent_requests_have_an_env_each(web):
    page = web.script("function main() Receive() Send(Env.QUERY_STRING) end")
    held = [web.open(page, query="q%d" % i) for i in range(4)]
    assert [c.end().response().text for c in held] == ["q0", "q1", "q2", "q3"]


# -- Cookies --

@pytest.mark.parametrize("header, expected", [
    ("a=1", {"a": "1"}),
    ("a=1; b=2", {"a": "1", "b": "2"}),
    ("a=1;b=2;c=3", {"a": "1", "b": "2", "c": "3"}),
    ("a=1, b=2", {"a": "1, b=2"}),
    ("lang=en,XLuaSession=KEY", {"lang": "en,XLuaSession=KEY"}),
    ("a=1 , 2 ;b=,", {"a": "1 , 2", "b": ","}),
    ('a="x; b=2; c=y"', {"a": '"x', "b": "2", "c": 'y"'}),
    ('a="; b=2', {"a": '"', "b": "2"}),
    ('a=x"y"; b="x"y', {"a": 'x"y"', "b": '"x"y'}),
    ('a="1,2"', {"a": "1,2"}),
    ("=x; a=1; =", {"a": "1"}),
    ('a="1"; b="two words"', {"a": "1", "b": "two words"}),
    ("flag", {"flag": ""}),
    ("flag; a=1; other", {"flag": "", "a": "1", "other": ""}),
    ("a=", {"a": ""}),
    ('a=""', {"a": ""}),
    ("a=b=c==", {"a": "b=c=="}),
    ("  a=1 ;  b=2  ", {"a": "1", "b": "2"}),
    (";; ,a=1;", {",a": "1"}),
    ("", {}), (None, {}),
    ("n=%s" % ("v" * 4000), {"n": "v" * 4000}),
    ("; ".join("c%d=%d" % (i, i) for i in range(100)),
     {"c%d" % i: str(i) for i in range(100)}),
])
def test_cookies(solo, header, expected):
    page = solo.script("function main() %s end" % dump("Cookies"))
    solo.get(page, HTTP_COOKIE="old=left")
    assert pairs_of(solo.get(page, HTTP_COOKIE=header)) == expected


# -- Info, Config, LocalConfig, Response, LUAFCGID, lf --

def test_info_names_state_and_thread(web):
    page = web.script("""function main() Log("here")
        Send(math.type(Info.State), math.type(Info.Thread), " ", Info.Thread) end""")
    kinds, thread = web.get(page).text.split()
    assert kinds == "integerinteger"
    assert web.wait_log("here").worker == thread


def test_info_state_counts_within_its_script(web):
    page = "function main() return Info.State end"
    assert web.run(page).text == web.run(page).text


@pytest.mark.parametrize("expression, expected", [
    ("Config.yes", "true"), ("Config.no", "false"), ("Config.int", "3"),
    ("math.type(Config.int)", "integer"), ("Config.float", "3.0"),
    ("math.type(Config.float)", "float"), ("Config.text == %s" % lua(APP["text"]), "true"),
    ("Config.list[1]", "1"), ("Config.list[2]", "two"), ("Config.list[3][1]", "3"),
    ("#Config.list", "3"), ("Config.nested.a.b.c", "deep"), ("Config.absent", "nil"),
])
def test_config_holds(web, expression, expected):
    assert web.value(expression) == expected


def test_config_is_a_deep_copy_for_each_state(web):
    web.main("Config.nested.a.b.c = 'spoilt'; Config.list[3][1] = 0; Config.int = nil")
    assert web.value("Config.nested.a.b.c .. Config.list[3][1] .. Config.int") == "deep33"


def test_config_of_clones_is_not_shared(web):
    page = web.script("""function main()
        Config.list.mine = (Config.list.mine or 0) + 1; Flush(); Receive()
        Send(Config.list.mine) end""")
    held = [web.hold(page) for _ in range(3)]
    assert [c.end().response().raw for c in held] == [b"1"] * 3


def test_local_config_is_that_of_the_requests_server_name(solo):
    page = solo.script("""function main()
        Send(type(LocalConfig) == "table" and LocalConfig.color or tostring(LocalConfig)) end""")
    for name, expected in [("site.example", "blue"), ("unknown.example", "nil"),
                           ("other.example", "plain"), ("site.example", "blue"), (None, "nil")]:
        assert solo.get(page, SERVER_NAME=name).text == expected


IANA = {
    100: "Continue", 101: "Switching Protocols", 102: "Processing", 103: "Early Hints",
    200: "OK", 201: "Created", 202: "Accepted", 203: "Non-Authoritative Information",
    204: "No Content", 205: "Reset Content", 206: "Partial Content", 207: "Multi-Status",
    208: "Already Reported", 226: "IM Used", 300: "Multiple Choices",
    301: "Moved Permanently", 302: "Found", 303: "See Other", 304: "Not Modified",
    305: "Use Proxy", 307: "Temporary Redirect", 308: "Permanent Redirect",
    400: "Bad Request", 401: "Unauthorized", 402: "Payment Required", 403: "Forbidden",
    404: "Not Found", 405: "Method Not Allowed", 406: "Not Acceptable",
    407: "Proxy Authentication Required", 408: "Request Timeout", 409: "Conflict",
    410: "Gone", 411: "Length Required", 412: "Precondition Failed",
    413: "Content Too Large", 414: "URI Too Long", 415: "Unsupported Media Type",
    416: "Range Not Satisfiable", 417: "Expectation Failed", 421: "Misdirected Request",
    422: "Unprocessable Content", 423: "Locked", 424: "Failed Dependency",
    425: "Too Early", 426: "Upgrade Required", 428: "Precondition Required",
    429: "Too Many Requests", 431: "Request Header Fields Too Large",
    451: "Unavailable For Legal Reasons", 500: "Internal Server Error",
    501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable",
    504: "Gateway Timeout", 505: "HTTP Version Not Supported",
    506: "Variant Also Negotiates", 507: "Insufficient Storage", 508: "Loop Detected",
    510: "Not Extended", 511: "Network Authentication Required",
}


def test_response_lists_the_status_lines_of_iana(web):
    got = web.main("for k, v in pairs(Response) do Send(math.type(k), k, '=', v, '\\n') end").text
    lines = dict(re.fullmatch(r"integer(\d+)=(.*)", line).groups()
                 for line in got.splitlines())
    assert {int(k): v for k, v in lines.items()} == {
        code: "%d %s" % (code, text) for code, text in IANA.items()}


@pytest.mark.parametrize("expression, expected", [
    ("LUAFCGID", "true"), ("LUAFCGID_VERSION", "2"),
    ("math.type(LUAFCGID_VERSION)", "integer"), ("Response[404]", "404 Not Found"),
    ("Response[999]", "nil"), ("type(lf)", "table"),
    ("require 'luafcgid' == lf", "true"), ("require 'luafcgid2' == lf", "true"),
    ("package.loaded.luafcgid == lf", "true"), ("type(Session)", "table"),
])
def test_global(web, expression, expected):
    assert web.value(expression) == expected


def test_globals_are_there_while_the_main_chunk_runs(web):
    assert web.run("""
        at_load = type(lf.parse) .. tostring(Config.int) .. type(Dir()) .. Response[200]
            .. tostring(LUAFCGID)
        function main() return at_load end""").text == "function3string200 OKtrue"


# -- sending --

SENDERS = pytest.mark.parametrize("send", ["Send(%s)", "con:puts(%s)"])


@pytest.mark.parametrize("values, expected", [
    ("'a'", b"a"), ("'a', 'b', 'c'", b"abc"), ("1, ' ', 2.5, ' ', -7, ' ', 1e100",
                                               b"1 2.5 -7 1e+100"),
    ("2.0, '|', math.mininteger", b"2.0|-9223372036854775808"), ("''", b""), ("", b""),
    ("'%s%n%d'", b"%s%n%d"), ("'nul\\0inside'", b"nul\0inside"),
    ("string.rep('0123456789', 100000)", b"0123456789" * 100000),
    ("table.unpack(list)", b"x" * 200),
])
def test_sending(web, values, expected):
    response = web.main("local list = {} for i = 1, 200 do list[i] = 'x' end\nSend(%s)" % values)
    assert response.body == expected


@pytest.mark.parametrize("values, expected", [
    ("'a'", b"a"), ("'a', 'b', 'c'", b"a"), ("'a', nil", b"a"), ("'a', {}, print", b"a"),
    ("('a-b'):gsub('-', '+')", b"a+b"), ("12", b"12"), ("2.5, 2", b"2.5"), ("''", b""),
    ("", b""), ("'nul\\0inside'", b"nul\0inside"),
    ("string.rep('0123456789', 100000)", b"0123456789" * 100000),
])
def test_con_puts_takes_its_first_argument_only(web, values, expected):
    response = web.main("con:puts(%s)" % values)
    assert (response.status, response.body) == (200, expected)


@SENDERS
def test_sending_every_byte(web, send):
    assert web.main("for i = 0, 255 do %s end" % (send % "string.char(i)")).body == \
        bytes(range(256))


@SENDERS
@pytest.mark.parametrize("value", ["{}", "print", "true"])
def test_sending_what_is_no_text_is_an_error(web, send, value):
    call = send.split("(")[0]
    target, method = ("con", "con.puts") if ":" in call else (None, "Send")
    arguments = ", ".join(filter(None, [method, target, value]))
    assert web.value("pcall(%s)" % arguments) == "false"


# -- the request body --

BODY = bytes(range(256)) * 300


@pytest.mark.parametrize("receive", ["Receive()", "con:gets()"])
def test_receiving_the_whole_body(web, receive):
    assert web.main("Send(%s)" % receive, "POST", body=BODY).body == BODY


@pytest.mark.parametrize("receive, end", [("Receive(%s)", "''"), ("con:gets(%s)", "nil")])
@pytest.mark.parametrize("size", [1, 7, 1000, 65536, 1 << 20])
def test_receiving_at_most_n_bytes(web, receive, end, size):
    body = BODY[:2000] if size < 10 else BODY
    response = web.main("""
        while true do local part = %s
            if part == %s then break end
            assert(#part >= 1 and #part <= %d); Send(part)
        end
        assert(%s == %s)
        """ % (receive % size, end, size, receive % "", end), "POST", body=body)
    assert response.status == 200 and response.body == body


def test_receiving_streamed_records_of_every_size(web):
    parts = [b"x" * n for n in (1, 2, 100, 8191, 8192, 8193, 30000, 1)]
    assert web.main("Send(#Receive())", "POST", body=parts).text == \
        str(sum(map(len, parts)))


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_receiving_when_there_is_no_body(web, method):
    assert web.main("""
        Send(tostring(con:gets()), tostring(con:gets(5)), "[", Receive(), Receive(5), "]")
        """, method).text == "nilnil[]"


def test_receiving_part_and_then_the_rest(web):
    assert web.main("Send(Receive(3), '|', con:gets(2), '|', Receive(), '|', Receive())",
                    "POST", body=b"abcdefgh").text == "abc|de|fgh|"


def test_receiving_nil_bytes_means_all(web):
    assert web.main("Send(Receive(nil), con:gets(nil) or 'over')",
                    "POST", body=b"body").text == "bodyover"


@pytest.mark.parametrize("receive", [
    "Receive('*a')", "Receive('a')", "Receive('*all')", "con:gets('*a')", "con:gets('a')",
    "con:gets('*l')", "con:gets({})", "con:gets(false)"])
def test_receiving_all_by_its_name(web, receive):
    assert web.main("Receive(1) Send(%s)" % receive, "POST", body=b"body").text == "ody"


@pytest.mark.parametrize("argument", ["'*l'", "''", "{}", "1.5", "-1", "false"])
def test_receiving_what_is_no_number_of_bytes_is_an_error(web, argument):
    text = web.main("Send(select(2, pcall(Receive, %s)))" % argument).text
    assert text.startswith("bad argument #1 to 'Receive' (")


def test_receiving_a_huge_number_takes_what_there_is(web):
    assert web.main("Send(Receive(math.maxinteger))", "POST", body=b"body").text == "body"


def test_body_of_one_request_is_not_seen_by_the_next(solo):
    page = solo.script("function main() if Env.QUERY_STRING == 'read' then "
                      "Send('[', Receive(), ']') end end")
    assert solo.post(page, b"secret").status == 200
    assert solo.post(page, b"mine", query="read").text == "[mine]"
    assert solo.get(page, query="read").text == "[]"


# -- Log, ThreadData, Dir --

@pytest.mark.parametrize("log", ["Log(%s)", "con:log(%s)"])
@pytest.mark.parametrize("text", ["plain text", "%s%s%n%x %d", "100 % sure", "z\u00fcrich"])
def test_log(web, log, text):
    response = web.main(log % lua(text) + " " + log % "'end of it'")
    web.wait_log("end of it")
    line, = [line for line in web.lines() if line.text == text]
    assert response.status == 200 and line.script.endswith(".lua") and line.level != "error"


def test_log_takes_numbers(web):
    web.main("Log(4711) con:log(4712)")
    assert web.wait_log("4711").text == "4711" and web.wait_log("4712").text == "4712"


@pytest.mark.parametrize("log", ["Log(%s)", "con:log(%s)"])
def test_log_joins_its_arguments_as_send_does(web, log):
    web.main(log % "'one ', 2, ' ', 2.5, nil, true, setmetatable({}, {__tostring = function() "
             "return ' own' end})")
    assert web.wait_log("one 2").text == "one 2 2.5niltrue own"


@pytest.mark.parametrize("log", ["Log()", "con:log()"])
def test_log_without_an_argument_writes_nothing(web, log):
    assert web.main(log + " Log('after it')").status == 200
    web.wait_log("after it")
    assert [line.text for line in web.lines() if line.script] == ["after it"]


def test_thread_data_counts_the_states_of_each_script(web):
    other = web.script("function main() end")
    web.get(other)
    page = web.script("""function main() local t = ThreadData()
        Send(math.type(t[Env.SCRIPT_FILENAME]), t[Env.SCRIPT_FILENAME], " ", t[Env.X_OTHER]) end
        """)
    assert web.get(page, X_OTHER=web.site.path(other)).text == "integer1 1"


def test_thread_data_counts_busy_states_too(web):
    page = web.script("""function main() Flush() Receive()
        Send(ThreadData()[Env.SCRIPT_FILENAME]) end""")
    held = [web.hold(page) for _ in range(3)]
    assert held[0].end().response().raw == b"3"
    for c in held[1:]:
        c.end().response()


def test_dir_is_the_scripts_directory(web):
    web.site.write("sub/dir/page.lua", "at_load = Dir() function main() Send(Dir(), '\\n', "
                                       "at_load) end")
    expected = web.site.path("sub/dir")
    assert [line.rstrip("/") for line in web.get("sub/dir/page.lua").text.split("\n")] == \
        [expected] * 2


# -- con --

CALLS = ["puts(con, 'x')", "gets(con)", "header(con, 'X-A', '1')", "flush(con)", "reset(con)",
         "config(con, 'httpstatus')", "config(con, 'httpstatus', '404 Not Found')",
         "log(con, 'late')", "parse(con, 'a=1')"]


@pytest.mark.parametrize("call", CALLS)
def test_con_is_an_error_after_its_request(solo, call):
    page = solo.script("""
        function main(env, con)
            if kept then
                local ok, message = pcall(function() local con = kept; return con.%s end)
                con:puts(tostring(ok) .. type(message))
            else con.%s; kept = con end
        end""" % (call, call))
    first = solo.get(page)
    assert first.status in (200, 404) and first.ended
    second = solo.get(page)
    assert (second.status, second.text) == (200, "falsestring")
    assert second.header("X-A") is None


def test_con_of_a_finished_request_cannot_reach_a_running_one(daemon):
    d = daemon(WorkerThreads=1)  # which the running one gives back while it waits
    page = d.script("""
        function main(env, con)
            if Env.QUERY_STRING == "use" then
                Send(type(kept), tostring((pcall(function() kept:puts("forged") end)))) return
            end
            kept = con end""")
    held = d.hold(d.script("function main() Flush() Receive() end"))
    d.get(page)
    assert d.get(page, query="use").text in ("tablefalse", "userdatafalse")
    assert held.end().response().raw == b""


METHOD_ERRORS = [
    ("con:puts({})", "bad argument #1 to 'puts' (string expected, got table)"),
    ("con:puts(nil)", "bad argument #1 to 'puts' (string expected, got nil)"),
    ("con:gets(-1)", "bad argument #1 to 'gets' (a number of bytes expected)"),
    ("con:header({1})", "bad argument #1 to 'header' (a table of names and values expected)"),
    ("con:header('no colon')", "bad argument #1 to 'header' (a line \"Name: value\" expected)"),
    ("con:header('X-A', {})", "bad argument #2 to 'header' (string expected, got table)"),
    ("con:parse({})", "bad argument #1 to 'parse' (string expected, got table)"),
    ("con:config({})", "bad argument #1 to 'config' (string expected, got table)"),
    ("con:config('httpstatus', 100)", "bad argument #2 to 'config' (an HTTP status from 200 "
     "to 599 expected, as \"404 Not Found\")"),
    ("con:config('contenttype', {})", "bad argument #2 to 'config' (string expected, got table)"),
    ("con:config('buffering', 1)", "bad argument #2 to 'config' (boolean expected, got number)"),
    ("con:config('headers', {})", "bad argument #2 to 'config' (string expected, got table)"),
    ("con.session:getvar()", "bad argument #1 to 'getvar' (string expected, got no value)"),
    ("con.session:getvar('r', {})", "bad argument #2 to 'getvar' (string expected, got table)"),
    ("con.session:setvar({}, 'k', 1)", "bad argument #1 to 'setvar' (string expected, got table)"),
    ("con.session:setvar('r')", "bad argument #2 to 'setvar' (string expected, got no value)"),
    ("con.session:hasrealm()", "bad argument #1 to 'hasrealm' (string expected, got no value)"),
    ("con.session:clear()", "bad argument #1 to 'clear' (string expected, got no value)"),
    ("local t = con.session t.getvar('r', 'k')",
     "bad argument #1 to 'getvar' (table expected, got string)"),
    ("local puts = con.puts puts('x')",
     "bad argument #1 to 'puts' (luafcgid2.con expected, got string)"),
    ("con.puts(con, {})", "bad argument #2 to 'puts' (string expected, got table)"),
    ("Send('a', {})", "bad argument #2 to 'Send' (string expected, got table)"),
    ("Header('X-A', {})", "bad argument #2 to 'Header' (string expected, got table)"),
    ("Session.SetVar('r', {}, 1)", "bad argument #2 to 'SetVar' (string expected, got table)"),
]


@pytest.mark.parametrize("call, message", METHOD_ERRORS)
def test_errors_count_arguments_as_lua_does(web, call, message):
    text = web.main("Send(select(2, pcall(function() %s end)))" % call).text
    assert text.partition(": ")[2] == message


@pytest.mark.parametrize("call", [
    "con:puts()", "con:header()", "con:config()", "con:config('x')",
    "con:config('x', 'y')", "con:log()", "con:parse()", "con:parse(nil)", "con:gets(nil)",
    "con:header('X-A: 1', nil)"])
def test_calls_that_were_harmless_in_v1_still_are(web, call):
    response = web.main("%s Send('page')" % call)
    assert (response.status, response.text) == (200, "page")


def test_con_config_of_an_unknown_name_is_nil(web):
    assert web.value("con:config('x')") == web.value("con:config('x', 'y')") == "nil"


def test_con_parse_is_lf_parse(web):
    assert web.main("""local t = con:parse("a=1&b=x+y&a=2")
        Send(t.a[1], t.a[2], t.b, type(next(con:parse(""))))""").text == "12x ynil"


@pytest.mark.parametrize("flush", ["Flush()", "con:flush()"])
def test_flush_says_whether_the_client_is_there(web, flush):
    page = web.script("""function main(env, con)
        Log("first ", %s) Receive()
        local n = 0
        while %s and n < 1000000 do Send(("x"):rep(65536)) n = n + 1 end
        Log("gone ", %s, " ", n < 1000000) end""" % (flush, flush, flush))
    with web.open(page) as c:
        assert web.wait_log("first").text == "first true"
        c.end()
    assert web.wait_log("gone").text == "gone false true"


@pytest.mark.parametrize("name, value, default", [
    ("httpstatus", "'404 Not Found'", "200 OK"),
    ("contenttype", "'text/plain'", "text/html"),
    ("buffering", "false", "true"),
])
def test_con_config_returns_the_value_before(solo, name, value, default):
    page = solo.script("""
        function main(env, con)
            local name, value = "%s", %s
            local read, before = con:config(name), con:config(name, value)
            local now, again = con:config(name), con:config(name, value)
            con:puts(tostring(read) .. "|" .. tostring(before) .. "|" ..
                tostring(now == value and again == value))
        end""" % (name, value))
    for _ in range(2):  # for this request only
        assert solo.get(page).text == "%s|%s|true" % (default, default)


def test_con_config_headers(web):
    response = web.main("""
        local before = con:config("headers")
        con:config("headers", "X-A: 1\\r\\nX-B: two words\\r\\n")
        con:puts(type(before) .. " " .. before)""")
    assert response.text.startswith("string ") and "X-Powered-By: luafcgid2" in response.text
    assert response.all("X-A") == ["1"] and response.all("X-B") == ["two words"]


def test_con_config_applies_to_the_response(web):
    response = web.main("""con:config("httpstatus", 404)
        con:config("contenttype", "text/plain") con:puts("x")""")
    assert (response.header("Status"), response.header("Content-Type")) == \
        ("404 Not Found", "text/plain")


def test_con_of_v1_and_functions_of_v2_work_on_one_response(web):
    response = web.main("""
        RespStatus("201 Created"); con:header("X-One", "1"); Header("X-Two: 2")
        Send(con:config("httpstatus"), " "); con:puts(con:config("contenttype"))
        RespContentType("text/plain")""")
    assert response.text == "201 Created text/html" and response.status == 201
    assert (response.all("X-One"), response.all("X-Two")) == (["1"], ["2"])
    assert response.header("Content-Type") == "text/plain"


# -- the connection --

@pytest.mark.parametrize("number", [1, 2, 255, 65535])
def test_any_request_id_is_answered_under_its_own(web, number):
    page = web.script("function main() Send(Receive()) end")
    with web.connect() as c:
        c.begin(web.site.params(page, "POST"), request_id=number)
        c.body(b"echo", request_id=number).end(request_id=number)
        response = c.response(request_id=number)
    assert response.text == "echo"
    assert (response.app_status, response.protocol_status) == (0, fastcgi.REQUEST_COMPLETE)


def test_kept_connection_serves_many_requests(solo):
    page = solo.script("function main() %s; Send(n, Receive()) end" % COUNTER)
    with solo.connect() as c:
        for i in range(1, 30):
            c.begin(solo.site.params(page, "POST"), keep=True).body("-%d" % i).end()
            assert c.response().text == "%d-%d" % (i, i)
        assert not c.is_closed()


def test_connection_closes_unless_it_is_to_be_kept(web):
    page = web.script("function main() Send('x') end")
    with web.connect() as c:
        c.begin(web.site.params(page)).end()
        assert c.response().text == "x"
        assert c.is_closed(PATIENCE)


def test_many_clients_at_once(web):
    pages = [web.script("function main() Send(Env.QUERY_STRING, Receive()) end")
             for _ in range(5)]
    held = []
    for i, page in zip(range(60), itertools.cycle(pages)):
        held.append(web.open(page, query="%d-" % i, keep=i % 2 == 0))
    for i in reversed(range(60)):
        held[i].body("b%d" % i).end()
    for i, c in enumerate(held):
        assert c.response().text == "%d-b%d" % (i, i)
        c.close()
