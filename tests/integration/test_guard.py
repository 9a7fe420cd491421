"""No way around the guards: what the library replaced is out of a script's reach, and
debug cannot break what Lua and C functions rely on."""

import os
import shutil

import pytest

from harm import check_page, counting, unharmed
from servers import compile_module, wait_until

DAEMON = {"RequestTimeout": 20, "Watchdog": 0}

# A table of the functions of a standard library that nobody has touched: name -> function.
ORIGINALS = r"""
#include <lauxlib.h>
#include <lualib.h>
static void take(lua_State *L, lua_State *from, const char *library)
{
    for (lua_pushnil(from); lua_next(from, -2); lua_pop(from, 1)) {
        if (lua_type(from, -2) != LUA_TSTRING || !lua_iscfunction(from, -1))
            continue;
        lua_pushfstring(L, "%s.%s", library, lua_tostring(from, -2));
        lua_pushcfunction(L, lua_tocfunction(from, -1));
        lua_rawset(L, -3);
    }
    lua_pop(from, 1);
}
int luaopen_originals(lua_State *L)
{
    static const char *const names[] = {"_G", "coroutine", "debug", "io", "os", "package"};
    lua_State *from = luaL_newstate();
    luaL_openlibs(from);
    lua_newtable(L);
    for (int i = 0; i < 6; i++) {
        lua_getglobal(from, names[i]);
        take(L, from, names[i]);
    }
    luaL_getmetatable(from, LUA_FILEHANDLE);
    take(L, from, "file");
    lua_close(from);
    return 1;
}
"""

# Looks at all that debug shows: see(value), frames(thread). Returns what was found.
LOOK = r"""
local originals, forbidden, found, visited = require("originals"), {}, {}, {}
package.loaded.originals = nil
local function prepare()
    local count = 0
    local libraries = {file = getmetatable(io.stdout)}
    for name, f in pairs(originals) do
        local library, field = name:match("(.*)%.(.*)")
        local now = (libraries[library] or _G[library])[field]
        if now ~= f and type(now) == "function" and debug.getinfo(now).what == "C" then
            forbidden[f] = name
            count = count + 1
        end
    end
    assert(count > 15, "what is replaced is not known")
end
prepare()
for _, own in ipairs{originals, forbidden, found, visited} do visited[own] = true end
local getinfo, getlocal, getupvalue = debug.getinfo, debug.getlocal, debug.getupvalue
local getmeta, getuser, create = debug.getmetatable, debug.getuservalue, coroutine.create
local see
function frames(co)
    for level = 0, 60 do
        local info = getinfo(co, level, "f")
        if not info then return end
        see(info.func)
        for _, sign in ipairs{1, -1} do
            for i = 1, 60 do
                local name, value = getlocal(co, level, i * sign)
                if not name then break end
                see(value)
            end
        end
    end
end
function see(v)
    if v == nil or visited[v] then return end
    if forbidden[v] then found[#found + 1] = forbidden[v] end
    visited[v] = true
    local kind = type(v)
    if kind == "table" then
        for key, value in next, v do see(key) see(value) end
        see(getmeta(v))
    elseif kind == "function" then
        for i = 1, 255 do
            local name, value = getupvalue(v, i)
            if not name then break end
            see(value)
        end
    elseif kind == "userdata" then
        see(getmeta(v))
        see(getuser(v))
    elseif kind == "thread" then
        frames(v)
    end
end
function everything(...)
    frames(coroutine.running())
    frames(main_thread)
    see(_G) see(package) see(getmeta("")) see(getmeta(print)) see(getmeta(main_thread))
    for _, v in ipairs{...} do see(v) end
end
function result()
    table.sort(found)
    return #found == 0 and "nothing" or table.concat(found, " ")
end
"""

POSITIONS = {
    "plain": "everything()",
    "load": "load(everything)",
    "load in a coroutine": "coroutine.wrap(function() load(everything) end)()",
    "load of parts": "local n = 0 load(function() n = n + 1 everything() "
                     "return n == 1 and 'x = 1' or nil end)",
    "pcall": "assert(pcall(everything))",
    "xpcall": "assert(xpcall(everything, print))",
    "handler": "xpcall(error, everything)",
    "handler in a coroutine": "coroutine.wrap(function() xpcall(error, everything) end)()",
    "resume": "assert(coroutine.resume(coroutine.create(everything)))",
    "coroutine from outside": "local c = coroutine.create(function() xpcall(function() "
                              "coroutine.yield() end, print) end) coroutine.resume(c) see(c)",
    "finalizer": "setmetatable({}, {__gc = everything}) collectgarbage()",
    "finalizer given later": "local m = {__gc = 1} setmetatable({}, m) m.__gc = everything "
                             "collectgarbage()",
    "callbacks": "table.sort({1, 2}, everything) ; ('x'):gsub('.', everything)",
    "metamethods": "local t = setmetatable({}, {__index = everything, __tostring = function() "
                   "everything() return '' end, __pairs = function() everything() return next, {} "
                   "end}) local x = t.x; tostring(t) print(t) for _ in pairs(t) do end",
    "__metatable": "everything(getmetatable(setmetatable({}, {__metatable = 1})))",
    "hooks": "debug.sethook(everything, 'clr') calls()",
    "hooks that count": "debug.sethook(everything, '', 1) calls()",
    "hooks that look in": "debug.sethook(function() frames(main_thread) end, 'cr') calls()",
    "hooks in a coroutine": "local c c = coroutine.create(function() debug.sethook(function() "
                            "frames(c) end, 'cr') calls() end) assert(coroutine.resume(c))",
    "hooks from outside": "local c = coroutine.create(function() calls() end) "
                          "debug.sethook(c, function() frames(c) end, 'cr') "
                          "assert(coroutine.resume(c))",
    "errors": "for _, f in pairs{load, setmetatable, getmetatable, xpcall, debug.getlocal, "
              "debug.setlocal, debug.sethook, debug.setmetatable, coroutine.wrap, io.write, "
              "io.stdout.write} do for i = 0, 3 do xpcall(f, everything, table.unpack({{}, {}, {}},"
              " 1, i)) end end",
    "error objects": "error(setmetatable({}, {__tostring = function() everything() Reset() "
                     "Send(result()) os.exit() end}))",
}
CALLS = """
function calls()
    load("return 1")() load(string.dump(calls)) load(function() end)
    pcall(print, 1) xpcall(error, print) pcall(loadfile, "no.such") pcall(dofile, "no.such")
    local t = setmetatable({}, {__index = {}}) getmetatable(t)
    coroutine.wrap(print)() coroutine.resume(coroutine.create(print))
    local up = 1
    local function f() return up end
    debug.getupvalue(f, 1) debug.setupvalue(f, 1, 2) debug.getlocal(1, 1) debug.getlocal(f, 1)
    pcall(debug.setlocal, 2, 1, nil) debug.getmetatable("") debug.setmetatable({}, nil)
    debug.getuservalue(io.stdout) pcall(debug.setuservalue, io.stdout, {}) debug.debug()
    pcall(debug.setmetatable, io.stdout, {}) debug.gethook() pcall(require, "no.such")
    pcall(package.loadlib, "no.such", "*") package.searchpath("x", "?") print("a")
    io.write("a\\n") io.stdout:write("a\\n") io.open("no.such") pcall(io.lines, "no.such")
    io.popen("true"):close() os.execute("true") os.setlocale() math.random() math.randomseed(1)
    local file = io.open("file", "w") file:write("x") file:close() os.remove("file")
    os.rename("no.such", "there.is.none") collectgarbage()
    debug.sethook()
end
"""


@pytest.fixture(scope="module")
def originals(module_scratch):
    return compile_module(module_scratch() + "/originals.so", ORIGINALS)


@pytest.mark.parametrize("code", POSITIONS.values(), ids=POSITIONS)
def test_no_function_that_was_replaced_is_in_sight(solo, originals, code):
    shutil.copy(originals, solo.site.path("originals.so"))
    page = solo.script("main_thread = coroutine.running() %s %s function main(env, con) "
                       "see(con) %s ; debug.sethook() return result() end" % (LOOK, CALLS, code))
    with unharmed(solo):
        solo.any_errors = True  # where finalizers and hooks are looked at, too
        assert solo.get(page).text == "nothing"


def test_it_is_seen_where_a_function_that_was_replaced_is_in_sight(solo, originals):
    """So that the test above can fail."""
    shutil.copy(originals, solo.site.path("originals.so"))
    page = solo.script("main_thread = coroutine.running() %s function main() "
                       "local hidden = {f = require('originals')['_G.xpcall']} "
                       "local c = coroutine.wrap(function() local x = hidden coroutine.yield() end)"
                       " c() everything() return result() end" % LOOK)
    with unharmed(solo):
        assert "_G.xpcall" in solo.get(page).text.split()


# What hands out a function that loads, calls or sets what it should not: none is there.
@pytest.mark.parametrize("code", [
    "local load = load local orig load(function() orig = orig or debug.getinfo(2, 'f').func end) "
    "return load(string.dump(load('return 1'))) or orig(string.dump(load('return 1'))) or 'none'",
    "local orig xpcall(function() orig = debug.getinfo(2, 'f').func end, print) "
    "return orig == xpcall and 'none' or 'another xpcall'",
    "local main, orig = coroutine.running(), {} debug.sethook(function() for level = 0, 1 do "
    "local info = debug.getinfo(main, level, 'f') if info then orig[info.func] = true end end end,"
    " 'c') "
    "pcall(debug.setmetatable, {}, nil) debug.sethook() for f in pairs(orig) do "
    "pcall(f, con, debug.getmetatable(io.stdout)) end con:puts('') return 'none'",
    "return package.loadlib('liblua5.3.so.0', 'luaopen_debug') or 'none'",
    "package.cpath = '/usr/lib/%s-linux-gnu/liblua5.3.so.0' package.loaded.debug = nil "
    "local ok, lib = pcall(require, 'debug') return ok and lib.getregistry or 'none'" %
    os.uname().machine,
], ids=["load", "xpcall", "sethook", "loadlib", "require"])
def test_way_around_a_guard_is_closed(solo, code):
    with unharmed(solo):
        assert solo.run("function main(env, con) %s end" % code).text == "none"


@pytest.mark.parametrize("code", [
    "local function f() debug.setlocal(2, %d, 1) end local t = {1, f(), 2, f(), x = f()}",
    "local function f() debug.setlocal(2, %d, {}) end for i = 1, 3 do f() end",
    "local function f() debug.setlocal(2, %d, 'x') end for k, v in pairs({1, 2}) do f() end",
    "local function f() debug.setlocal(2, %d, nil) return 'x' end local s = 'a' .. f() .. f()",
    "local c = coroutine.create(function() local t = {1, coroutine.yield(), 2} end) "
    "coroutine.resume(c) debug.setlocal(c, 1, %d, 7) coroutine.resume(c)",
], ids=["constructor", "numeric for", "generic for", "concatenation", "coroutine"])
def test_only_variables_with_a_name_can_be_set(solo, code):
    """Those of the whole frame, one after the other."""
    page = solo.script("function main() local refused = 0 for i = 1, 20 do local ok, message = "
                       "pcall(load((%r):format(i))) refused = refused + (message and "
                       "message:find('only variables with a name') and 1 or 0) end "
                       "return refused > 0 and 'refused' or 'never' end" % code)
    with unharmed(solo):
        assert solo.get(page).text == "refused"


def test_variables_with_a_name_and_additional_arguments_can_be_set(solo):
    with unharmed(solo):
        assert solo.main("""
            local function f(a, ...)
                local b = 2
                assert(debug.setlocal(1, 1, "A") == "a" and debug.setlocal(1, 2, "B") == "b")
                assert(debug.setlocal(1, -1, "C") == "(*vararg)" and debug.setlocal(1, 9, 1) == nil)
                return a .. b .. ...
            end
            assert(f(1, 3) == "ABC")
            assert(not pcall(debug.setlocal, 100, 1, 1) and not pcall(debug.setlocal, 1))
            return "all in order" """).text == "all in order"


@pytest.mark.parametrize("code", [
    "debug.setmetatable(debug.upvalueid(function() return con end, 1), "
    "debug.getmetatable(io.stdout))",
    "debug.setmetatable(con, debug.getmetatable(io.stdout))",
    "debug.setuservalue(con, {})", "debug.setuservalue(io.stdout, {})",
])
def test_userdata_stays_what_it_is(solo, code):
    page = counting(solo, code)
    with unharmed(solo):
        check_page(solo.get(page, "bad"), 500)
        solo.expect_error("a userdata stays what it is")
        assert solo.get(page).text == "2"


def test_coroutine_that_os_exit_ended_is_dead(solo):
    page = counting(solo, "local ok, message = coroutine.resume(co) Send(tostring(message), ' ')",
                    "co = coroutine.create(function() local function f() while true do pcall(f) "
                    "os.exit() end end f() end)")
    with unharmed(solo):
        assert solo.get(page, "bad").text == ""
        assert solo.get(page, "bad").text == "cannot resume dead coroutine "
        assert solo.get(page).text == "3"


def test_garbage_is_collected_again_after_os_exit(solo):
    page = counting(solo, "pcall(os.exit)")
    with unharmed(solo):
        assert solo.get(page, "bad").text == ""
        assert solo.value("collectgarbage('isrunning')") == "true"
        solo.site.write(page, "function main() return tostring(collectgarbage('isrunning')) end")
        wait_until(lambda: solo.get(page).text == "true", "the new script")


# Each ends the coroutine of requests by an error outside all that catches it, so that
# __tostring of the value runs where the state's own functions do.
OUTSIDE = {
    "hook there, its functions called": """
        local value = setmetatable({}, {__tostring = function()
            M = coroutine.running()
            debug.sethook(M, function()
                F = F or debug.getinfo(M, 1, "f").func
                G = G or debug.getinfo(M, 0, "f").func
            end, "c")
            return "value"
        end})
        function main()
            debug.sethook(M)
            for _, f in ipairs{F or print, G or print} do pcall(f) end
            coroutine.wrap(function() collectgarbage() collectgarbage() end)()
            return "fine"
        end
        debug.sethook(coroutine.running(), function() error(value) end, "c")""",
    "its frames called with a coroutine that is collected": """
        found = {}
        local value = setmetatable({}, {__tostring = function()
            for level = 0, 9 do
                local info = debug.getinfo(level, "fS")
                if info and info.what == "C" then found[#found + 1] = info.func end
            end
            return "value"
        end})
        function main()
            local garbage = setmetatable({}, {__tostring = function()
                collectgarbage() collectgarbage()
                local t = {}
                for i = 1, 200 do t[i] = coroutine.create(print) end
                return "x"
            end})
            for _, f in ipairs(found) do
                pcall(f, garbage, coroutine.create(function() local a end))
            end
            return "fine"
        end
        debug.sethook(coroutine.running(), function() error(value) end, "c")""",
    "hook there that exits": """
        local value = setmetatable({}, {__tostring = function()
            debug.sethook(function() os.exit() end, "c")
            return "value"
        end})
        function main() return "fine" end
        debug.sethook(coroutine.running(), function() error(value) end, "c")""",
    "finalizer given in the last moment": """
        local late = {__gc = true}
        kept = setmetatable({}, late)
        first = setmetatable({}, {__gc = function()
            late.__gc = function()
                debug.sethook(function() while true do end end, "c")
            end
        end})
        function main() kept, first = nil collectgarbage() return "fine" end""",
}


@pytest.mark.not_under("thread", reason="the signal never comes where a hook loops")
@pytest.mark.parametrize("script", OUTSIDE.values(), ids=OUTSIDE)
def test_main_coroutine_of_a_state_is_out_of_reach(daemon, script):
    d = daemon(WorkerThreads=1, LuaMaxErrors=0, RequestTimeout=1, Watchdog=3)
    d.any_errors = True
    page = d.script(script)
    with unharmed(d):
        seen = [d.get(page).text for _ in range(4)]
        assert "fine" in seen[1:], seen


def test_script_whose_error_loops_while_it_is_loaded_costs_only_its_request(daemon):
    """The loop is in a hook that its __tostring wants to leave behind."""
    d = daemon(WorkerThreads=2, RequestTimeout=1, Watchdog=1)
    page = d.script("""
        error(setmetatable({}, {__tostring = function()
            debug.sethook(coroutine.running(), function() while true do end end, "c")
            return "the value"
        end}))""")
    for _ in range(4):
        response = d.get(page)
        assert response.status == 500
    assert d.main("return 'hello'").text == "hello"
    d.expect_error("the value")
