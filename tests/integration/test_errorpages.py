"""Pages of errors: the site's own (ErrorPage), and the source that ShowErrors shows."""

import os
import re

import pytest

from servers import wait_until

DAEMON = {"WorkerThreads": 2, "MinFileInfoTime": 100}


@pytest.fixture
def own(daemon, site):
    """Starts a daemon with these pages, by status: a name in the site, or name and text."""
    def make(pages, **options):
        lines = []
        for status, page in pages.items():
            name, text = (page, None) if isinstance(page, str) else page
            path = site.path(name) if text is None else site.write(name, text)
            lines.append('ErrorPage[%d] = "%s"\n' % (status, path))
        d = daemon(config="".join(lines), **{**DAEMON, **options})
        d.any_errors = True
        return d
    return make


def whole(response, status):
    assert response.status == status and response.ended
    assert response.all("Content-Length") == [str(len(response.body))]
    assert len(response.all("Content-Type")) == 1
    return response.text


FAIL = "function main() Header('X-A', '1') Send('half') error('secret place') end"


# -- files --

@pytest.mark.parametrize("name, type_", [("e.html", "text/html"), ("e.txt", "text/plain"),
                                         ("e.json", "application/json")])
def test_file_is_sent_as_it_is_with_its_type_and_the_status(own, name, type_):
    d = own({404: (name, "<b>%s</b> not here"), 500: (name, "<b>%s</b> not here")})
    for response, status in (d.get("nothing.lua"), 404), (d.run(FAIL), 500):
        assert whole(response, status) == "<b>%s</b> not here"
        assert response.header("Content-Type").startswith(type_)
        assert response.header("X-A") is None
    d.wait_log("secret place", "error")


def test_other_statuses_keep_the_built_in_page(own):
    d = own({404: ("e.html", "own")})
    assert "<h1>500" in whole(d.run(FAIL), 500)


def test_what_a_script_answers_itself_is_left_alone(own):
    d = own({404: ("e.html", "own")})
    assert d.run("function main() RespStatus(404) return 'mine' end").text == "mine"


def test_edits_of_the_page_show_at_once(own):
    d = own({404: ("e.html", "first")})
    assert d.get("nothing.lua").text == "first"
    d.site.write("e.html", "second")
    assert d.get("nothing.lua").text == "second"


def test_reload_takes_other_pages(own):
    d = own({404: ("e.html", "own")})
    assert d.get("nothing.lua").text == "own"
    d.reload("ErrorPage = {[403] = %r}" % d.site.path("e.html"))
    assert "<h1>404" in whole(d.get("nothing.lua"), 404)


def test_missing_page_is_warned_of_and_the_built_in_one_takes_its_place(own):
    d = own({404: "gone.html"}, warns=r"ErrorPage.*gone\.html")
    assert "<h1>404" in whole(d.get("nothing.lua"), 404)
    line = d.wait_log(r"ErrorPage\[404\]: .*gone\.html cannot be read: No such file", "warning")
    assert line
    d.site.write("gone.html", "here")
    assert d.get("nothing.lua").text == "here"


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: open(path, "w").truncate(
    17 << 20)], ids=["directory", "FIFO", "17 MiB"])
def test_what_is_no_page_gives_the_built_in_one(own, make):
    d = own({404: "e.html"}, warns="ErrorPage")
    make(d.site.path("e.html"))
    assert "<h1>404" in whole(d.get("nothing.lua"), 404)
    d.wait_log(r"ErrorPage\[404\]: .*e\.html cannot be read", "warning")


def test_large_page_is_sent_whole(own):
    text = "0123456789abcdef" * (1 << 16)
    d = own({404: ("e.html", text)})
    assert whole(d.get("nothing.lua"), 404) == text


def test_head_has_the_pages_length_and_no_body(own):
    d = own({404: ("e.html", "own page"), 500: ("e.lua", "function main() return 'x' end")})
    response = d.request("nothing.lua", "HEAD")
    assert (response.status, response.body) == (404, b"")
    assert response.all("Content-Length") == ["8"]
    response = d.run(FAIL, "HEAD")
    assert (response.status, response.body) == (500, b"")
    assert response.all("Content-Length") == ["1"]


def test_refusals_have_pages_too(own):
    d = own({413: ("e.html", "too much"), 404: ("f.html", "no")}, MaxPostSize=10)
    page = d.script("function main() return Receive() end")
    assert whole(d.post(page, b"x" * 100), 413) == "too much"
    assert whole(d.post(page, [b"x" * 100]), 413) == "too much"
    assert whole(d.get("page.txt"), 404) == "no"


def test_relative_path_counts_from_the_directory_of_the_start(daemon, site):
    site.write("e.html", "own")
    d = daemon(config="ErrorPage[404] = 'www/e.html'", cwd=os.path.dirname(site.root), **DAEMON)
    d.any_errors = True
    assert d.get("nothing.lua").text == "own"


# -- scripts --

TELLS = """function main()
    Send(Info.Error.Status, "|", Info.Error.Message, "|", Env.QUERY_STRING, "|", Dir())
end"""


def test_script_answers_with_the_error_in_info(own):
    d = own({404: ("errors/e.lua", TELLS), 500: ("errors/e.lua", TELLS)})
    parts = whole(d.get("nothing.lua", "a=1"), 404).split("|")
    assert parts == ["404", "No such file or directory", "a=1", d.site.path("errors")]
    page = d.script(FAIL)
    status, message, query, _ = whole(d.get(page, "b=2"), 500).split("|")
    assert (status, query) == ("500", "b=2")
    assert message.startswith(d.site.path(page) + ":1: secret place\nstack traceback:")
    line = d.wait_log("secret place", "error")
    assert line.script == d.site.path(page)


def test_script_has_no_error_where_there_is_none(own):
    d = own({404: ("e.lua", "function main() return tostring(Info.Error) end")},
            LuaMaxStates=1)
    assert d.get("nothing.lua").text.startswith("table")
    assert d.get("e.lua").text == "nil"
    assert d.get("nothing.lua").text.startswith("table")


def test_script_may_set_the_status_and_headers(own):
    d = own({404: ("e.lua", "function main() Redirect('/elsewhere') end")})
    response = d.get("nothing.lua")
    assert (response.status, response.header("Location")) == (302, "/elsewhere")


def test_script_may_wait(own):
    d = own({404: ("e.lua", "function main() Sleep(.05) return 'waited' end")})
    assert whole(d.get("nothing.lua"), 404) == "waited"


def test_script_sees_the_session(own):
    d = own({500: ("e.lua", "function main() return Session.GetVar('r', 'who') end")})
    page = d.script("function main() Session.SetVar('r', 'who', 'Ada') error('x') end")
    assert whole(d.get(page), 500) == "Ada"


@pytest.mark.parametrize("source", [
    "function main() error('page fails') end", "function main( page fails", "-- page fails",
    "error('page fails')", "function main() Flush() Send('x') error('page fails') end",
], ids=["error", "syntax", "no entry point", "at load", "after a flush"])
def test_script_that_fails_gives_the_built_in_page(own, source):
    d = own({500: ("e.lua", source)})
    for _ in range(3):
        response = d.run(FAIL)
        assert response.status == 500
        if "Flush" in source:
            assert response.cut
        else:
            assert "<h1>500" in whole(response, 500) and "page fails" not in response.text
    d.wait_log(r"ErrorPage\[500\]: .*(page fails|near|entry point)", "error")
    d.main("return 'healthy'")


def test_missing_script_gives_the_built_in_page(own):
    d = own({404: "gone.lua"}, warns="ErrorPage")
    assert "<h1>404" in whole(d.get("nothing.lua"), 404)
    d.wait_log(r"ErrorPage\[404\]: No such file", "error")


def test_page_that_is_the_failing_script_itself_is_run_once(own):
    d = own({500: ("e.lua", "function main() n = (n or 0) + 1 error('round ' .. n) end")},
            LuaMaxErrors=0, LuaMaxStates=1)
    assert "<h1>500" in whole(d.get("e.lua"), 500)
    d.wait_log("round 2", "error")
    assert "round 3" not in d.log()


def test_script_has_time_of_its_own_after_a_504(own):
    d = own({504: ("e.lua", "function main() local n = 0 for i = 1, 1e5 do n = n + 1 "
                                    "end return 'too slow ' .. n end")}, RequestTimeout=1)
    assert whole(d.run("function main() while true do end end"), 504) == "too slow 100000"


def test_script_without_end_gives_the_built_in_page(own):
    d = own({500: ("e.lua", "function main() while true do end end")}, RequestTimeout=1)
    assert "<h1>500" in whole(d.run(FAIL), 500)
    d.wait_log(r"ErrorPage\[500\]: .*time limit", "error")


# -- ShowErrors --

def shown(response):
    """The number and the text of each line of source that the page shows; the marked one."""
    source = re.search(r'<pre class="source"[^>]*>(.*?)</pre>', response.text, re.S)
    if source is None:
        return {}, None
    lines = dict(re.findall(r"<code><b>(\d+)</b>(.*?)</code>", source[1], re.S))
    marked = re.findall(r"<mark><code><b>(\d+)</b>", source[1])
    assert len(marked) <= 1
    return {int(n): text for n, text in lines.items()}, int(marked[0]) if marked else None


@pytest.fixture
def open_(daemon):
    d = daemon(ShowErrors=True, warns="ShowErrors", **DAEMON)
    d.any_errors = True
    return d


def test_lines_around_a_runtime_error_are_shown(open_):
    source = "".join("local v%d = '<%d>'\n" % (n, n) for n in range(1, 9))
    page = open_.script(source + "function main()\n  error('why <b>')\nend\n" + "-- x\n" * 9)
    response = open_.get(page)
    lines, marked = shown(response)
    assert marked == 10 and sorted(lines) == list(range(5, 16))
    assert lines[5] == "local v5 = &#39;&lt;5&gt;&#39;"
    assert lines[10] == "  error(&#39;why &lt;b&gt;&#39;)"
    assert "<code>%s</code>, line 10</h2>" % open_.site.path(page) in response.text
    assert "why &lt;b&gt;" in response.text and "<b>'" not in response.text


def test_lines_around_a_syntax_error_are_shown(open_):
    for _ in range(2):  # the second is remembered
        lines, marked = shown(open_.run("function main()\n\tlocal x = = 1\nend\n"))
        assert (marked, lines[2]) == (2, "\tlocal x = = 1")


def test_module_that_is_wrong_is_shown_itself(open_):
    open_.site.write("broken.lua", "local a\nlocal b b b\n")
    lines, marked = shown(open_.run("function main()\n require 'broken'\nend"))
    assert (marked, lines[2]) == (2, "local b b b")
    open_.site.write("deep.lua", "local m = {}\nfunction m.f(x)\n  return x.y.z\nend\nreturn m")
    lines, marked = shown(open_.run("local m = require 'deep'\nfunction main() m.f({}) end"))
    assert (marked, lines[3]) == (3, "  return x.y.z")
    lines, marked = shown(open_.run("function main()\n  error('bare', 0)\nend"))
    assert (marked, lines[2]) == (2, "  error(&#39;bare&#39;, 0)")


@pytest.mark.parametrize("template, line", [
    ("<p>\n<%= nothing.here %>\n</p>", 2), ("<p>\n\n<% if then %>\n", 3), ("<p>\n<% open", 2),
], ids=["run time", "syntax", "unclosed"])
def test_templates_own_lines_are_shown(open_, template, line):
    open_.site.write("t.html", template)
    response = open_.run("function main()\n return lf.render('t.html')\nend")
    lines, marked = shown(response)
    assert marked == line and "<h2><code>%s<" % open_.site.path("t.html") in response.text
    assert lines[1] == "&lt;p&gt;"


def test_path_longer_than_lua_writes_is_found(open_):
    name = "a/directory/with/a/name/that/is/much/longer/than/lua/writes/it/page.lua"
    open_.site.write(name, "function main()\n error('x')\nend")
    assert shown(open_.get(name))[1] == 2


def test_source_of_any_bytes_is_shown(open_):
    page = "binary.lua"
    with open(open_.site.path(page), "wb") as f:
        f.write(b"-- \xff\x00\x1b<\r\n" + b"x" * 100000 + b" = = 1\n")
    response = open_.get(page)
    lines, marked = shown(response)
    assert marked == 2 and len(response.body) < 30000
    assert lines[1] == "-- \ufffd\ufffd\ufffd&lt;" and lines[2].endswith("x ...")


def test_message_that_names_another_file_shows_nothing_of_it(open_):
    """A visitor may have a hand in the message."""
    secret = open_.site.write("secret.txt", "the secret\n")
    response = open_.run("function main() error('%s:1: x', 0) end" % secret)
    assert "the secret" not in response.text and shown(response)[1] == 1


def test_source_is_not_shown_without_show_errors(daemon):
    d = daemon(**DAEMON)
    d.any_errors = True
    text = whole(d.run(FAIL), 500)
    assert "secret place" not in text and ".lua" not in text and "<pre" not in text


def test_show_errors_goes_before_own_pages_of_scripts_errors(own):
    d = own({500: ("e.html", "own"), 404: ("e.html", "own")}, ShowErrors=True,
            warns="ShowErrors")
    assert "secret place" in whole(d.run(FAIL), 500)
    assert d.get("nothing.lua").text == "own"


def test_timeout_shows_where_it_was(daemon):
    d = daemon(ShowErrors=True, RequestTimeout=1, warns="ShowErrors", **DAEMON)
    d.any_errors = True
    response = d.run("function main()\n  while true do end\nend")
    assert response.status == 504 and shown(response)[1] == 2


def test_page_that_appears_is_run(own):
    d = own({404: "late.lua"}, warns="ErrorPage")
    assert d.get("nothing.lua").status == 404
    d.site.write("late.lua", "function main() return 'late' end")
    wait_until(lambda: d.get("nothing.lua").text == "late", "the page")
