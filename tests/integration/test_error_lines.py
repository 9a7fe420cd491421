"""What goes wrong in a request is one error in the log, by which grep -c counts, and the line
says of which request it is: in text and in JSON."""

import json
import os
import re

import pytest

import servers

ID = "0123456789abcdef"
FIELDS = {"client": "192.0.2.7", "method": "GET", "uri": "/{page}?a=b", "id": ID}
MAIN = "function main() %s end"

FAULTS = {  # the script, the status, what the message has
    "syntax": ("function main(", 500, "expected near"),
    "at load": ("error('at load')", 500, "at load"),
    "no entry point": ("x = 1", 500, "main"),
    "string": (MAIN % "error('told so')", 500, "told so"),
    "lines": (MAIN % r"error('one\nerror two\n\n2026-01-31T12:00:00.123Z error three')", 500,
              "one"),
    "only newlines": (MAIN % r"error('\n\n', 0)", 500, ""),
    "empty": (MAIN % "error('', 0)", 500, ""),
    "no value": (MAIN % "error()", 500, "nil"),
    "table": (MAIN % "error({1})", 500, "table"),
    "its own words": (MAIN % r"error(setmetatable({}, {__tostring = function() return 'my\nown' "
                      "end}))", 500, "my"),
    "__tostring fails": (MAIN % "error(setmetatable({}, {__tostring = function() error('again') "
                         "end}))", 500, "again|object"),
    "control characters": (MAIN % r"error('\27[31m\0 \xff\r\n error')", 500, r"(\x1b|\\x1b)\[31m"),
    "long": (MAIN % r"error(('long\n'):rep(5000))", 500, "long"),
    "coroutine": (MAIN % "coroutine.wrap(function() error('inside') end)()", 500, "inside"),
    "coroutine that slept": (MAIN % "coroutine.wrap(function() Sleep(0.01) error('inside') end)()",
                             500, "inside"),
    "after a wait": (MAIN % "Sleep(0.01) error('awake')", 500, "awake"),
    "after Flush": (MAIN % "Send('x') Flush() error('late')", 200, "late"),
    "after Finish": (MAIN % "Send('x') Finish() Sleep(0.01) error('later')", 200, "later"),
    "handler fails": (MAIN % "xpcall(error, function() error('again') end) error('after')", 500,
                      "after"),
    "stack overflow": (MAIN % "local function f() return 1 + f() end f()", 500,
                       "stack overflow|memory"),
    "memory": (MAIN % "local s = ('x'):rep(1 << 30)", 500, "memory"),
    "many tables": (MAIN % "local t = {} while true do t[#t + 1] = {} end", 500, "memory"),
    "time": (MAIN % "TimeLimit(0.3) while true do end", 504, "time limit"),
    "time in a coroutine": (MAIN % "TimeLimit(0.3) coroutine.wrap(function() while true do end end)()", 504,
                            "time limit"),
    "time in pcall": (MAIN % "TimeLimit(0.3) while true do pcall(function() while true do end end) end", 504,
                      "time limit"),
    "exit": (MAIN % "os.exit(1)", 200, None),
    "module is missing": (MAIN % "require 'no_such_module'", 500, "no_such_module"),
    "module has a mistake": (MAIN % "require 'broken'", 500, "broken"),
    "dofile": (MAIN % "dofile('none.lua')", 500, "none.lua"),
    "SendFile": (MAIN % "SendFile('none.txt')", None, "none.txt"),
    "template is missing": (MAIN % "Send(lf.render('none.html'))", 500, "none.html"),
    "template has a mistake": (MAIN % "Send(lf.render('mistake.html'))", 500, "mistake.html"),
    "template fails": (MAIN % "Send(lf.render('failing.html'))", 500, "in a template"),
    "wrong argument": (MAIN % "Sleep('soon')", 500, "Sleep"),
    "Redirect": (MAIN % "Redirect()", 500, "Redirect"),
    "not to be found": (None, 404, "no script|cannot open"),
    "a finalizer": (MAIN % "setmetatable({}, {__gc = function() error('in gc') end}) "
                    "collectgarbage() collectgarbage()", None, "in gc|__gc"),
    "Log": (MAIN % r"Log('error', 'one\ntwo')", 200, "one"),
    "a comparison in sort": (MAIN % "table.sort({1, 2, 3}, function() error('cmp') end)", 500, "cmp"),
    "gsub": (MAIN % "('x'):gsub('x', function() error('rep') end)", 500, "rep"),
    "a session that is too large": (MAIN % "Session.Start() error(tostring(Session.SetVar('r', 'k', "
                                    "('x'):rep(200000))))", 500, None),
}


NO_ERROR = {"exit", "SendFile", "not to be found"}  # is told as information, or not at all


def prepare(d, source):
    for name, text in (("broken.lua", "x = = 1"), ("mistake.html", "<% for %>"),
                       ("failing.html", "<% error('in a template') %>")):
        d.site.write(name, text)
    return "none.lua" if source is None else d.script(source)


def read_text(line):
    found = re.fullmatch(r"\S+ (?P<level>\S+?)(?: worker (?P<worker>\d+))?(?: (?P<script>/\S+))?: "
                         r'(?P<message>.*?)(?:, client: (?P<client>\S+), request: "'
                         r'(?P<method>\S+) (?P<uri>[^"]*)", id: (?P<id>\S+))?', line)
    return found.groupdict()


@pytest.fixture(params=["text", "json"])
def logged(request, daemon):
    """A daemon whose method `told` gives what its log says of a script, line by line."""
    def make(**options):
        d = daemon(LogFormat=request.param, RequestTimeout=60, LuaMaxErrors=0, **options)

        def told(page):
            path = d.site.path(page)
            text = d.log()
            lines = [(json.loads if request.param == "json" else read_text)(line)
                     for line in text[:text.rfind("\n") + 1].splitlines()]
            return [line for line in lines if line.get("script") == path]
        d.told, d.format, d.any_errors = told, request.param, True
        made.append(d)
        return d
    made = []
    yield make
    for d in made:
        d.mark = len(d.log())


def check(d, page, level="error"):
    """That there is one line of that level about it, which tells all of the request; returns
    its message, without the lines that continue it."""
    servers.wait_until(lambda: any(line["level"] == level for line in d.told(page)),
                       "%s about %s" % (level, page))
    lines = [line for line in d.told(page) if line["level"] == level]
    assert len(lines) == 1, lines
    assert lines[0]["worker"]
    assert {name: lines[0][name] for name in FIELDS} == {
        **FIELDS, "uri": FIELDS["uri"].format(page=page)}
    return lines[0]["message"]


def ask(d, page):
    return d.get(page, "a=b", REMOTE_ADDR=FIELDS["client"], REQUEST_ID=ID)


def test_an_error_is_one_line_that_tells_of_the_request(logged):
    d = logged(ScriptMemoryLimit=4 << 20)
    expected = 0
    for kind, (source, status, message) in FAULTS.items():
        page = prepare(d, source)
        assert ask(d, page).status == status or status is None, kind
        if kind not in NO_ERROR:
            assert re.search(message or "", check(d, page)), kind
            expected += 1
        else:
            assert not [line for line in d.told(page) if line["level"] == "error"], kind
    assert d.get("none.lua").status == 404
    if d.format == "text":
        assert len(re.findall("(?m)^[^ ]* error ", d.log())) == expected
    else:
        assert d.log().count('"level":"error"') == expected


def test_of_a_message_of_many_lines_json_has_each_in_the_message(logged):
    d = logged()
    page = d.script(MAIN % "require 'broken'")
    d.site.write("broken.lua", "x = = 1")
    assert ask(d, page).status == 500
    message = check(d, page)
    if d.format == "json":
        line, = [line for line in d.told(page) if line["level"] == "error"]
        assert "broken.lua:1: unexpected symbol" in message
        assert line["traceback"].startswith("stack traceback:\n")


def test_one_error_does_not_fill_the_disk(logged):
    d = logged()
    page = d.script(MAIN % r"error(('x\n'):rep(1000000))")
    assert ask(d, page).status == 500
    check(d, page)
    if d.format == "text":  # its lines are written one by one
        servers.wait_until(lambda: d.told(page)[-1]["message"] == "...[cut]", "the last line")
    lines = d.told(page)
    assert len(lines) < 1000 and len(d.log()) < 200000


@pytest.mark.parametrize("where, message", [
    ("OnStateStart", "not started"), ("StartupScript", "not started up")])
def test_what_fails_before_the_first_request_tells_of_it(logged, scratch, where, message):
    startup = os.path.join(scratch(), "startup.lua")
    with open(startup, "w", encoding="ascii") as f:
        f.write("error('not started up')" if where == "StartupScript" else "x = 1")
    options = {where: startup if where == "StartupScript" else "begin"}
    d = logged(**options)
    page = d.script("function begin() error('not started') end function main() end")
    assert ask(d, page).status == 500
    assert message in check(d, page)
