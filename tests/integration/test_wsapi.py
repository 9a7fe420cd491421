"""WSAPI applications and Orbit: require "luafcgid2.wsapi"."""

import os

import pytest

import test_manual
from servers import wait_until

DAEMON = {"WorkerThreads": 4}
CI = bool(os.environ.get("CI"))
OLDER = "/usr/share/lua/5.1"


def needs(file, package):
    """In CI all packages are there, so that a test that is left out is a failure there."""
    return pytest.mark.skipif(not CI and not os.path.exists(os.path.join(OLDER, file)),
                              reason=package + " is not installed")


wsapi_is_there = needs("wsapi/request.lua", "lua-wsapi")
orbit_is_there = needs("orbit.lua", "lua-orbit")


def application(body):
    """A script of an application whose function run has this body."""
    return 'main = require "luafcgid2.wsapi"(function(env)\n%s\nend)' % body


# -- what the application gets --

def test_parameters_that_are_absent_are_empty(web):
    response = web.run(application("""
        return 200, {}, string.gmatch(env.QUERY_STRING .. "|" .. env.NOTHING .. "|" ..
            env.PATH_INFO .. "|" .. env.SCRIPT_NAME .. "|" .. env.APP_PATH .. "|" ..
            tostring(Env.NOTHING), ".+")"""), query="a=b")
    name = web.site.root
    assert response.text == "a=b||/|/s%s|%s|nil" % (
        response.text.split("|/s")[1].split("|")[0], name)


def test_path_info_that_is_there_stays(web):
    page = web.script(application("return 200, {}, env.PATH_INFO:gmatch('.+')"))
    assert web.get(page, PATH_INFO="/a/b").text == "/a/b"
    assert web.get(page, PATH_INFO="").text == "/"
    assert web.get(page).text == "/"


def test_what_one_request_writes_into_env_no_other_sees(solo):
    page = solo.script(application("""
        local seen = env.MINE env.MINE = 'written' return 200, {}, ('<' .. seen .. '>'):gmatch('.+')"""))
    assert [solo.get(page).text for _ in range(2)] == ["<>", "<>"]


@pytest.mark.parametrize("reads, got", [
    ("read(4), read(0), read(-1), read(), read(), read(1)", "abcd,nil,nil,efgh,nil,nil"),
    ("read(), read()", "abcdefgh,nil"),
    ("read('3'), read(2.0), read('*a'), read('a')", "abc,de,fgh,nil"),
    ("read(100), read(100)", "abcdefgh,nil"),
    ("read(env.input.length), env.input.length", "abcdefgh,8"),
])
def test_input_is_read_in_each_way(web, reads, got):
    response = web.run(application("""
        local function read(n) return env.input:read(n) end
        local all = table.pack(%s)
        for i = 1, all.n do all[i] = tostring(all[i]) end
        return 200, {}, table.concat(all, ","):gmatch(".+")""" % reads), "POST", body=b"abcdefgh")
    assert response.text == got


def test_a_body_is_read_in_pieces_as_it_comes(web):
    page = web.script(application("""
        return 200, {}, function() return env.input:read(1000) end"""))
    body = bytes(range(256)) * 3000
    response = web.post(page, body, CONTENT_TYPE="application/octet-stream")
    assert response.ended and response.body == body


def test_error_writes_warnings_to_the_log(web):
    web.run(application(r"""
        env.error:write("trouble ", 5, " ", nil, "\n") env.error:write() env.error:write("\n")
        env.error:write("more"):flush()
        return 204"""))
    lines = [line.text for line in web.lines() if line.level == "warning" and line.script]
    assert lines == ["trouble 5 nil", "more"]


# -- what it answers --

LIST = "local list, i = {'one ', 2, '', ' three'}, 0 "


@pytest.mark.parametrize("iterator, text", [
    (LIST + "return 200, {}, function() i = i + 1 return list[i] end", "one 2 three"),
    (LIST + "return 200, {}, coroutine.wrap(function() for _, piece in ipairs(list) do "
            "coroutine.yield(piece) end end)", "one 2 three"),
    ("return 200, {}, ('a b c'):gmatch('%a')", "abc"),
    ("return 200, {}, setmetatable({left = 2}, {__call = function(t) t.left = t.left - 1 "
     "return t.left >= 0 and 'x' end})", "xx"),
    ("return 200, {}, io.lines('lines')", "12"),
    ("return 200, {}, function() end", ""),
    ("return 200, {}", ""),
    ("return 200", ""),
    ("Send('sent ') return 200, {}, ('x'):gmatch('x')", "sent x"),
], ids=["closure", "coroutine", "C function", "object", "file", "empty", "no iterator",
        "no headers", "beside Send"])
def test_each_kind_of_iterator(web, iterator, text):
    web.site.write("lines", "1\n2\n")
    response = web.run(application(iterator))
    assert (response.status, response.text, response.ended) == (200, text, True)


@pytest.mark.parametrize("status, head", [
    ("200", "200 OK"), ("'200'", "200 OK"), ("'404 Not here'", "404 Not here"),
    ("404.0", "404 Not Found"), ("'200 Ok'", "200 Ok")])
def test_status_as_number_and_as_text(web, status, head):
    assert web.run(application("return %s, {}" % status)).header("Status") == head


def test_headers_and_lists_of_them(web):
    response = web.run(application("""
        return 200, {["Content-type"] = "text/plain", ["Content-Type"] = "text/html",
                     ["set-cookie"] = {"a=1; Path=/", "b=2"}, ["X-List"] = {"a", 2},
                     ["X-Number"] = 7, ["X-True"] = true, ["X-None"] = {},
                     ["WWW-Authenticate"] = {"Basic realm=a", 'Digest realm="b"'}}"""))
    assert response.all("Content-Type") == ["text/plain"]
    assert response.all("Set-Cookie") == ["a=1; Path=/", "b=2"]
    assert response.all("WWW-Authenticate") == ["Basic realm=a", 'Digest realm="b"']
    assert [response.header(n) for n in ("X-List", "X-Number", "X-True", "X-None")] == [
        "a, 2", "7", "true", None]


def test_pieces_arrive_as_they_are_made(web):
    page = web.script(application("""
        local i = 0
        return 200, {}, function()
            i = i + 1
            return i == 1 and "first" or i == 2 and "then " .. env.input:read(4) or nil
        end"""))
    with web.open(page) as connection:
        before = connection.read_until("first")
        response = connection.body(b"more").end().response(before=before)
    assert response.ended and response.text == "firstthen more"


def test_a_short_response_of_known_length_goes_out_in_one_piece(web):
    response = web.run(application("""
        return 200, {["Content-Length"] = 3}, ("abc"):gmatch(".")"""))
    assert response.header("Content-Length") == "3" and response.text == "abc"


@pytest.mark.parametrize("length", ["", "['Content-Length'] = 512 * 65536"],
                         ids=["unknown length", "known length"])
def test_a_large_response_takes_little_memory(daemon, length):
    """The state would not hold it."""
    d = daemon(WorkerThreads=2, ScriptMemoryLimit=4 << 20)
    response = d.run(application("""
        local left = 512
        return 200, {%s}, function()
            left = left - 1
            return left >= 0 and string.char(left %% 256):rep(65536) or nil
        end""" % length))
    assert response.ended and len(response.body) == 512 * 65536
    assert response.body[::65536] == bytes(left % 256 for left in reversed(range(512)))


@pytest.mark.parametrize("method, status", [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_without_a_body_the_iterator_is_not_called(web, method, status):
    response = web.run(application("""
        return %d, {["X-Head"] = "there"}, function() error("called") end""" % status), method)
    assert (response.status, response.header("X-Head")) == (status, "there")
    assert response.ended and response.body == b"" and response.header("Content-Length") is None


def test_head_keeps_a_length_that_the_application_knows(web):
    response = web.run(application("return 200, {['Content-Length'] = 5}"), "HEAD")
    assert response.header("Content-Length") == "5" and response.body == b""


def test_an_iterator_may_wait(solo):
    page = solo.script(application("""
        return 200, {}, coroutine.wrap(function()
            coroutine.yield("a") Sleep(0.01) coroutine.yield("b")
            coroutine.yield(tostring((Subscribe("w"):next(0.01)))) coroutine.yield(env.PATH_INFO)
        end)"""))
    assert solo.get(page).text == "abnil/"


def test_when_the_visitor_has_gone_the_iterator_is_not_called_any_more(web):
    page = web.script(application("""
        return 200, {}, function() Shared.incr("pieces", 1, 0) Sleep(0.001) return "piece" end"""))
    done = web.script("function main() return tostring(Shared.get('pieces')) end")
    with web.open(page) as connection:
        connection.end()
        connection.read_until("piece")

    def stands_still():
        before = web.get(done).text
        return web.main("Sleep(0.1) return 'slept'").text and web.get(done).text == before
    wait_until(stands_still, "the iterator to be left alone")


# -- errors --

@pytest.mark.parametrize("body, said", [
    ("error('in run')", "in run"),
    ("return 200, {['X-Half'] = 'set'}, function() error('in the first piece') end",
     "in the first piece"),
    ("return 200, {}, coroutine.wrap(function() error('in a coroutine') end)", "in a coroutine"),
    ("return 200, {}, function() return {} end", "the iterator gave a table"),
    ("return nil", "returned no status"),
    ("return 200, {['X-Split'] = 'a\\r\\nSet-Cookie: b'}", "X-Split"),
])
def test_an_error_before_the_first_piece_is_a_500_page(web, body, said):
    response = web.run(application(body))
    assert response.status == 500 and response.ended
    assert response.header("X-Half") is None and said not in response.text
    web.expect_error(said)


def test_an_error_after_the_first_piece_ends_the_response(web):
    response = web.run(application("""
        local i = 0
        return 200, {}, function() i = i + 1 return i == 1 and "piece" or error("too late") end"""))
    assert response.status == 200 and not (response.ended and not response.cut)
    assert response.text == "piece"
    web.expect_error("too late")


def test_what_is_no_application_is_an_error_of_the_script(web):
    assert web.run('main = require "luafcgid2.wsapi"({})').status == 500
    web.expect_error("a function, or a table with a function 'run', expected, got a table without")


def test_a_table_is_asked_for_run_each_time(solo):
    page = solo.script("""
        local app = {}
        function app.run() app.run = function() return 201 end return 200 end
        main = require "luafcgid2.wsapi"(app)""")
    assert [solo.get(page).status for _ in range(2)] == [200, 201]


def test_it_is_found_whatever_package_path_says(web):
    assert web.run("package.path = '' " + application("return 201")).status == 201


# -- the manual's examples --

EXAMPLES = [text for text in test_manual.literals() if "luafcgid2.wsapi" in text]
HELLO, = [text for text in test_manual.literals() if 'module("hello"' in text]


def test_the_manuals_application(web):
    source, = [text for text in EXAMPLES if "coroutine" in text]
    page = web.script(source)
    response = web.post(page, b"x" * 20000)
    assert response.text == "You sent: " + "x" * 20000 + "\n"
    assert response.all("Set-Cookie") == ["seen=1", "by=wsapi"]
    assert (web.get(page).status, web.get(page).header("Allow")) == (405, "POST")


@orbit_is_there
def test_the_manuals_orbit_application(web):
    source, = [text for text in EXAMPLES if "require \"hello\"" in text]
    web.site.write("hello.lua", HELLO)
    web.site.write("hello-page.lua", source)
    assert "<h1>Hello!</h1>" in web.get("hello-page.lua").text
    assert "<h1>Hello, Ada!</h1>" in web.get("hello-page.lua", PATH_INFO="/to/Ada").text
    assert web.get("hello-page.lua", PATH_INFO="/to/1").status == 404
    assert web.request("hello-page.lua", "HEAD").status == 200


# -- Debian's modules --

LIBRARY = """
local handler = require "luafcgid2.wsapi"
local request, response, util = require "wsapi.request", require "wsapi.response", require "wsapi.util"
require "wsapi.common"
main = handler(function(env)
    local req, res = request.new(env), response.new(201)
    res:set_cookie("first", "a b") res:set_cookie("second", {value = "c", path = "/"})
    res:content_type("text/plain")
    res:write(req.method, " ", req.path_info, " ", req.GET.q or "-", " ", req.cookies.sid or "-", " ")
    local field = req.POST.field
    res:write(type(field) == "table" and (field.name or "list") or tostring(field), " ")
    if type(field) == "table" then res:write(field.contents or field[2], " ") end
    res:write({"nested ", {util.url_encode("a&b")}})
    return res:finish()
end)"""


@wsapi_is_there
def test_debians_library_reads_and_answers(web):
    page = web.script(LIBRARY)
    response = web.get(page, "q=1+2", HTTP_COOKIE="x=y; sid=k")
    assert response.text == "GET / 1 2 k nil nested a%26b"
    assert response.status == 201 and response.header("Content-Type") == "text/plain"
    assert response.all("Set-Cookie") == ["first=a+b", "second=c; path=/"]
    assert response.header("Content-Length") == str(len(response.body))
    form = web.post(page, b"field=Zo%C3%AB&field=two")
    assert form.text == "POST / - - list two nested a%26b"


@wsapi_is_there
def test_debians_library_reads_an_upload(web):
    body = (b'--b\r\nContent-Disposition: form-data; name="field"; filename="a.txt"\r\n'
            b'Content-Type: text/plain\r\n\r\ncontent\r\n--b--\r\n')
    response = web.post(web.script(LIBRARY), body,
                        CONTENT_TYPE="multipart/form-data; boundary=b")
    assert response.text == "POST / - - a.txt content nested a%26b"


ORBIT = """
local orbit = require "orbit"
module("shop", package.seeall, orbit.new)
function index(web) return layout(web, p{"Welcome, ", web.cookies.name or "stranger"}) end
function say(web, what) return layout(web, p.said(what)) end
function add(web)
    web:set_cookie("name", web.input.name)
    if web:empty_param("name") then web.status = "400 Bad Request" return "no name" end
    return web:redirect(web:link("/", {added = web.input.name}))
end
function fail() error("inside") end
shop:dispatch_get(index, "/")
shop:dispatch_get(say, "/say/(.+)")
shop:dispatch_post(add, "/add")
shop:dispatch_get(fail, "/fail")
shop:dispatch_static("/static/.+")
shop.dispatch_table.head = shop.dispatch_table.get
function layout(web, inner)
    return html{ head{ title"Shop" }, body{ inner, form{ method = "post",
        action = web:link("/add"), input{ name = "name" } } } }
end
orbit.htmlify(shop, "layout", "index", "say")
"""


@orbit_is_there
def test_an_orbit_application_behind_nginx(web, nginx):
    web.site.write("shop.lua", ORBIT)
    web.site.write("static/style.css", "p { color: red }")
    web.site.write("app.lua", 'main = require "luafcgid2.wsapi"(require "shop")')
    front = nginx(web, server="""
        location ~ ^.+?\\.lua/ {
            fastcgi_split_path_info ^(.+?\\.lua)(/.*)$;
            fastcgi_pass lua;
            include /etc/nginx/fastcgi_params;
            fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
            fastcgi_param SCRIPT_NAME $fastcgi_script_name;
            fastcgi_param PATH_INFO $fastcgi_path_info;
        }""")
    first = front.get("app.lua")
    assert first.status == 200 and first.headers["Content-Type"] == "text/html"
    assert b"<p >Welcome, stranger</p>" in first.content, first.content
    assert b'action="/app.lua/add"' in first.content
    assert b"Welcome, Ada" in front.get("app.lua/", Cookie="name=Ada").content
    assert b'<p class="said">a b</p>' in front.get("app.lua/say/a%20b").content
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    added = front.post("app.lua/add", b"name=A+B", **form)
    assert (added.status, added.headers["Location"]) == (302, "/app.lua/?added=A+B")
    assert added.headers["Set-Cookie"] == "name=A+B"
    assert front.post("app.lua/add", b"name=+", **form).status == 400
    assert front.get("app.lua/none").status == 404
    failed = front.get("app.lua/fail")
    assert failed.status == 500 and b"inside" in failed.content  # Orbit's own page
    style = front.get("app.lua/static/style.css")
    assert (style.headers["Content-Type"], style.content) == ("text/css", b"p { color: red }")
    head = front.request("app.lua", "HEAD")
    assert head.status == 200 and head.headers["Content-Length"] == str(len(first.content))


@needs("cosmo.lua", "lua-cosmo")
def test_cosmo_fills_templates(web):
    assert web.run("""
        require "luafcgid2.wsapi"
        local cosmo = require "cosmo"
        function main()
            return cosmo.fill("$title: $list[[<$name>]]",
                {title = "T", list = {{name = "a"}, {name = "b"}}})
        end""").text == "T: <a><b>"


@orbit_is_there
def test_orbits_pages(web):
    web.site.write("list.op", "<h1>$title</h1>")
    web.site.write("pages.lua", """
        local handler = require "luafcgid2.wsapi"
        local orbit = require "orbit"
        local app = orbit.new()
        app:dispatch_get(function(web) return web:page_inline("<b>$greeting</b>",
            {greeting = "hi"}) .. web:page("list.op", {title = "T"}) end, "/")
        main = handler(app)""")
    assert web.get("pages.lua").text == "<b>hi</b><h1>T</h1>"


@pytest.mark.parametrize("value", ["print", "{{}}", "{'a', print}"])
@pytest.mark.parametrize("name", ["A", "Set-Cookie"])
def test_a_header_without_a_text_is_an_error(web, name, value):
    page = web.script("main = require 'luafcgid2.wsapi'(function() return 200, {['%s'] = %s} end)"
                      % (name, value))
    assert web.get(page).status == 500
    web.expect_error("the header '%s' is a " % name)


def test_a_header_may_be_any_value_that_has_a_text(web):
    page = web.script("main = require 'luafcgid2.wsapi'(function() return 200, {A = {1, true, "
                      "setmetatable({}, {__tostring = function() return 'x' end})}} end)")
    assert web.get(page).header("A") == "1, true, x"
