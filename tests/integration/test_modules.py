"""Where a script finds modules and files, what runs before it, what its children get."""

import os

import pytest

from servers import PATIENCE, lua

DAEMON = {"WorkerThreads": 4}


def paths(web, page="sub/page.lua", name="path"):
    web.site.write(page, "function main() return package.%s end" % name)
    return web.get(page).text.split(";")


def test_package_path_ends_with_root_and_directory(web):
    root, sub = web.site.root, web.site.path("sub")
    got = paths(web)
    assert got[-4:] == [root + "/?.lua", root + "/?/init.lua", sub + "/?.lua", sub + "/?/init.lua"]
    assert not [p for p in got if p.startswith("./")]
    assert "/usr/share/lua/5.3/?.lua" in got  # the rest is Lua's own


def test_package_cpath_has_the_root_for_the_current_directory(web):
    got = paths(web, name="cpath")
    assert web.site.root + "/?.so" in got
    assert not [p for p in got if p.startswith("./")]


def test_directory_with_lua_pattern_characters(web):
    web.site.write("100%1 a-b+c/mod.lua", "return 'odd'")
    web.site.write("100%1 a-b+c/page.lua", "function main() return require 'mod' end")
    assert web.get("100%1 a-b+c/page.lua").text == "odd"


@pytest.mark.parametrize("module", ["mod.lua", "mod/init.lua", "sub/mod.lua", "sub/mod/init.lua"])
def test_require_finds_modules_beside_script_and_in_root(web, module):
    web.site.write(module, "return {name = ...}")
    web.site.write("sub/page.lua", "function main() return require('mod').name end")
    assert web.get("sub/page.lua").text == "mod"


def test_require_with_dots_and_at_load(web):
    web.site.write("app/views/list.lua", "return 'list'")
    web.site.write("sub/page.lua", "local v = require 'app.views.list' "
                                   "function main() return v end")
    assert web.get("sub/page.lua").text == "list"


def test_root_comes_before_the_scripts_directory(web):
    web.site.write("mod.lua", "return 'root'")
    web.site.write("sub/mod.lua", "return 'sub'")
    web.site.write("sub/page.lua", "function main() return require 'mod' end")
    assert web.get("sub/page.lua").text == "root"


def test_require_loads_once_per_state(solo):
    solo.site.write("mod.lua", "loads = (loads or 0) + 1 return {}")
    page = solo.script("function main() require 'mod' require 'mod' return loads end")
    assert [solo.get(page).text for _ in range(2)] == ["1", "1"]


def test_require_of_what_is_not_there_says_where_it_looked(web):
    web.site.write("sub/page.lua",
                   "function main() return select(2, pcall(require, 'nowhere')) end")
    text = web.get("sub/page.lua").text
    assert "module 'nowhere' not found" in text and web.site.path("sub/nowhere.lua") in text


def test_module_with_a_syntax_error_names_file_and_line(web):
    web.site.write("mod.lua", "\n\nreturn +")
    assert "mod.lua:3:" in web.main("return select(2, pcall(require, 'mod'))").text


# -- the working directory --

def test_relative_files_are_beside_the_script(web):
    web.site.write("sub/data.txt", "beside")
    web.site.write("data.txt", "in the root")
    web.site.write("sub/page.lua", """
        at_load = io.open("data.txt"):read("a")
        function main() return at_load, " ", io.open("data.txt"):read("a"), " ",
            io.open("../data.txt"):read("a") end""")
    assert web.get("sub/page.lua").text == "beside beside in the root"


@pytest.mark.parametrize("code, expected", [
    ("for line in io.lines('in.txt') do return line end", "first"),
    ("io.open('out.txt', 'w'):write('written'):close() return io.open('out.txt'):read('a')",
     "written"),
    ("os.rename('in.txt', 'new.txt') return io.open('new.txt'):read('l')", "first"),
    ("return os.remove('in.txt'), io.open('in.txt') and 'there' or 'gone'", "gone"),
    ("return dofile('part.lua')", "part"),
    ("return loadfile('part.lua')()", "part"),
    ("local p = io.popen('cat in.txt') local t = p:read('l') p:close() return t", "first"),
    ("os.execute('echo ran > by-shell.txt') return io.open('by-shell.txt'):read('l')", "ran"),
])
def test_every_relative_name_is_in_the_scripts_directory(web, code, expected):
    web.site.write("sub/in.txt", "first\nsecond\n")
    web.site.write("sub/part.lua", "return 'part'")
    web.site.write("sub/page.lua", "function main() %s end" % code)
    assert web.get("sub/page.lua").text == expected
    assert not os.path.exists(web.site.path("out.txt"))


def test_no_thread_sees_anothers_working_directory(web):
    names = ["dir%d" % i for i in range(4)]
    for name in names:
        web.site.write(name + "/own.txt", name)
        web.site.write(name + "/page.lua", """
            function main()
                local function own() return io.open("own.txt"):read("a") end
                local first = own(); Flush(); Receive(); Send(first, own()) end""")
    for _ in range(5):
        held = [web.hold(name + "/page.lua") for name in names]  # between their two looks
        assert [c.end().response().raw.decode() for c in held] == [2 * n for n in names]


def test_working_directory_follows_the_script_from_request_to_request(daemon):
    d = daemon(WorkerThreads=1)
    for name in ("a", "b"):
        d.site.write(name + "/own.txt", name)
        d.site.write(name + "/page.lua",
                     "function main() return io.open('own.txt'):read('a') end")
    assert [d.get(n + "/page.lua").text for n in "abbaab"] == list("abbaab")


def test_daemons_own_working_directory_stays(web):
    before = os.readlink("/proc/%d/cwd" % web.pid)
    web.site.write("sub/page.lua", "function main() end")
    web.get("sub/page.lua")
    assert os.readlink("/proc/%d/cwd" % web.pid) == before


# -- StartupScript --

def test_startup_script_runs_in_every_new_state_before_the_script(daemon, site):
    startup = site.write("start/up.lua", """
        runs = (runs or 0) + 1
        function greet(name) return "hello " .. name end
        seen = type(lf) .. type(Config)""")
    d = daemon(StartupScript=startup, WorkerThreads=2)
    page = d.script("at_load = greet('load') function main() Flush() Receive() "
                    "return at_load, greet(' main '), runs, seen end")
    held = [d.hold(page) for _ in range(2)]
    assert [c.end().response().raw for c in held] == [b"hello loadhello  main 1tabletable"] * 2
    assert d.main("return runs").text == "1"


@pytest.mark.parametrize("text", ["error('startup trouble')", "return +", None],
                         ids=["error", "syntax error", "missing"])
def test_broken_startup_script_is_a_500_page_and_a_log_line(daemon, site, text):
    startup = site.path("startup.lua")
    if text:
        site.write("startup.lua", text)
    d = daemon(StartupScript=startup)
    response = d.run("function main() return 'x' end")
    assert response.status == 500
    d.any_errors = d.any_stderr = True  # -t and the start warn of a missing one
    d.wait_log(r"startup\.lua", "error")


# -- children --

def list_of_descriptors(text):
    return [line for line in text.splitlines() if " -> " in line]


@pytest.mark.parametrize("code", [
    "local p = io.popen('ls -l /proc/self/fd') local t = p:read('a') p:close() return t",
    "os.execute('ls -l /proc/self/fd > list.txt') return io.open('list.txt'):read('a')",
], ids=["io.popen", "os.execute"])
def test_children_inherit_no_descriptors(web, code):
    """Listener, poller, log, other connections: none of them. What stays: standard input,
    output and error, and the directory that ls itself opened."""
    page = web.script("function main() %s end" % code)
    waiting = [web.connect(), web.hold(web.script("function main() Flush() Receive() end"))]
    got = list_of_descriptors(web.get(page).text)
    extra = [line for line in got if line.split(" -> ")[0].split()[-1] not in "012"]
    assert len(got) >= 3 and len(extra) == 1 and "/proc/" in extra[0], got
    assert not [line for line in got if "socket:" in line], got
    waiting[1].end().response()


def waiting_child(site):
    """A command that waits in the background for a file, or for the end of the test."""
    return "(while [ -d %s ] && [ ! -e %s ]; do sleep 0.05; done) >/dev/null 2>&1 &" % (
        site.root, site.path("done"))


def test_children_outlive_their_request_without_holding_it_up(web, site):
    """A child in the background keeps nothing of the connection open."""
    page = web.script("function main() os.execute(%s) return 'x' end" % lua(waiting_child(site)))
    with web.connect() as c:
        c.begin(site.params(page)).end()
        assert c.response().text == "x"
        assert c.is_closed(PATIENCE)
    site.write("done", "")


def test_child_does_not_keep_the_listening_socket(daemon, site):
    """After the daemon ended, a child that is still there does not answer for it."""
    d = daemon()
    d.main("os.execute(%s)" % lua(waiting_child(site)))
    d.stop()
    assert not os.path.exists(d.address)
    again = daemon(Listen=d.address)
    assert again.main("return 'fresh'").text == "fresh"
    site.write("done", "")
