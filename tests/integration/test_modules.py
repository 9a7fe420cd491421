"""Where a script finds modules and files, what runs before it, what its children get."""

import os
import shutil

import pytest

from servers import PATIENCE, compile_module, lua, wait_until

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


@pytest.mark.parametrize("name", ["a;b", "a?b", "a;?/lib;x", "?"])
def test_require_in_directories_whose_names_are_patterns_of_package_path(web, name):
    root = web.site.path(name)
    web.site.write(name + "/mod.lua", "return 'root ' .. ...")
    web.site.write(name + "/sub/own.lua", "return 'own'")
    web.site.write(name + "/sub/pack/init.lua", "return 'pack'")
    web.site.write(name + "/sub/page.lua", """
        package.path = "/nowhere/?.lua;" .. package.path .. ";/elsewhere/?.lua"
        function main() return require "mod" .. " " .. require "own" .. " " .. require "pack" end""")
    web.site.write(name + "/path.lua", "function main() return package.path end")
    assert web.get(name + "/sub/page.lua", DOCUMENT_ROOT=root).text == "root mod own pack"
    assert web.get(name + "/path.lua", DOCUMENT_ROOT=root).text.endswith(
        ";{0}/?.lua;{0}/?/init.lua;{0}/?.lua;{0}/?/init.lua".format(root))


C_MODULE = """
#include <lauxlib.h>
static int value(lua_State *L) { lua_pushvalue(L, 1); lua_pushvalue(L, 2); return 2; }
int luaopen_cmod(lua_State *L)
{
    lua_pushcfunction(L, value);
    lua_pushvalue(L, 1);
    lua_pushvalue(L, 2);
    lua_call(L, 2, 2);
    lua_pushfstring(L, "%s from %s", lua_tostring(L, -2), lua_tostring(L, -1));
    return 1;
}
"""


@pytest.fixture(scope="module")
def c_module(module_scratch):
    return compile_module(module_scratch() + "/cmod.so", C_MODULE)


@pytest.mark.parametrize("place, name", [
    ("cmod.so", "cmod"), ("v2-cmod.so", "v2-cmod"), ("cmod-v2.so", "cmod-v2"),
    ("a;b?/cmod.so", "cmod")])
def test_require_finds_c_modules_in_the_root(web, c_module, place, name):
    path = web.site.write(place, "")
    shutil.copy(c_module, path)
    page = web.script("function main() return require %s end" % lua(name))
    assert web.get(page, DOCUMENT_ROOT=os.path.dirname(path)).text == "%s from %s" % (name, path)


def test_c_module_that_is_none_is_told_of(web):
    path = web.site.write("cmod.so", "this is no library")
    text = web.main("return select(2, pcall(require, 'cmod'))").text
    assert "error loading module 'cmod' from file '%s'" % path in text


def test_package_path_that_a_script_has_set_anew_counts_alone(web):
    web.site.write("lib/mod.lua", "return 'lib'")
    web.site.write("mod.lua", "return 'root'")
    assert web.main("package.path = %s return require 'mod'" %
                    lua(web.site.path("lib/?.lua"))).text == "lib"
    assert "must be a string" in web.main(
        "package.path = nil return select(2, pcall(require, 'mod'))").text


def test_module_that_cannot_be_read_is_looked_for_elsewhere(web):
    os.mkdir(web.site.path("mod.lua"))
    web.site.write("sub/mod.lua", "return 'sub'")
    web.site.write("sub/page.lua", "function main() return require 'mod' end")
    assert web.get("sub/page.lua").text == "sub"


@pytest.mark.parametrize("name", ["opt.lua", "opt/init.lua", "sub/opt.lua"])
def test_optional_module_that_appears_later_renews_the_state(web, name):
    web.site.write("sub/page.lua", """
        local there, opt = pcall(require, "opt")
        function main() return there and opt or "without" end""")
    assert web.get("sub/page.lua").text == "without"
    web.site.write(name, "return 'with'")
    wait_until(lambda: web.get("sub/page.lua").text == "with", "the optional module")


@pytest.mark.parametrize("load", ["pcall(dofile, 'opt.lua')", "loadfile('opt.lua')"])
def test_optional_file_that_appears_later_renews_the_state(web, load):
    web.site.write("sub/page.lua", """
        local there = %s
        function main() return there and "with" or "without" end""" % load)
    assert web.get("sub/page.lua").text == "without"
    web.site.write("sub/opt.lua", "")
    wait_until(lambda: web.get("sub/page.lua").text == "with", "the optional file")


def test_modules_that_are_never_found_do_not_pile_up(solo):
    """A state that asks for ever new names stays, and serves."""
    page = solo.script("""
        n = 0
        function main()
            for i = 1, 200 do n = n + 1 pcall(require, "nowhere" .. n) end
            return n
        end""")
    assert [solo.get(page).text for _ in range(5)] == ["200", "400", "600", "800", "1000"]


def test_module_with_a_syntax_error_names_file_and_line(web):
    web.site.write("mod.lua", "\n\nreturn +")
    assert "mod.lua:3:" in web.main("return select(2, pcall(require, 'mod'))").text


# -- the working directory --

def test_relative_files_are_beside_the_script(web):
    web.site.write("sub/data.txt", "beside")
    web.site.write("data.txt", "in the root")
    web.site.write("sub/page.lua", """
        at_load = io.open("data.txt"):read("a")
        function main() Send(at_load, " ", io.open("data.txt"):read("a"), " ",
            io.open("../data.txt"):read("a")) end""")
    assert web.get("sub/page.lua").text == "beside beside in the root"


@pytest.mark.parametrize("code, expected", [
    ("for line in io.lines('in.txt') do return line end", "first"),
    ("io.open('out.txt', 'w'):write('written'):close() return io.open('out.txt'):read('a')",
     "written"),
    ("os.rename('in.txt', 'new.txt') return io.open('new.txt'):read('l')", "first"),
    ("os.remove('in.txt') return io.open('in.txt') and 'there' or 'gone'", "gone"),
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
                    "Send(at_load, greet(' main '), runs, seen) end")
    held = [d.hold(page) for _ in range(2)]
    assert [c.end().response().raw for c in held] == [b"hello loadhello  main 1tabletable"] * 2
    assert d.main("return runs").text == "1"


@pytest.mark.parametrize("text", ["error('startup trouble')", "return +", None],
                         ids=["error", "syntax error", "vanished"])
def test_broken_startup_script_is_a_500_page_and_a_log_line(daemon, site, text):
    startup = site.write("startup.lua", text or "")
    d = daemon(StartupScript=startup)
    if text is None:
        site.remove("startup.lua")
    response = d.run("function main() return 'x' end")
    assert response.status == 500
    d.any_errors = True
    d.wait_log(r"startup\.lua", "error")


def test_startup_script_that_is_not_there_is_refused_at_reload(daemon, site):
    d = daemon()
    d.reload(StartupScript=site.path("nowhere.lua"))
    d.expect_error("StartupScript: expected a file that can be read, got .*nowhere.lua")
    d.expect_error("the old one stays")
    assert d.main("return 'serves'").text == "serves"


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
