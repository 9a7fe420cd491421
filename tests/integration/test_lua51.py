"""Scripts of Lua 5.1: with the names that are there, and with scripts/lua51.lua."""

import os

from servers import ROOT

DAEMON = {"StartupScript": os.path.join(ROOT, "scripts/lua51.lua")}


def test_a_module_of_lua_5_1_is_one(web, site):
    site.write("old.lua", """
module("old", package.seeall)
count = 0
local function hidden() return "hidden" end
function hello(name)
    count = count + 1
    return string.format("%s %s %d", hidden(), name, count)
end""")
    site.write("shut.lua", """
local pairs = pairs
module(...)
function sees() return pairs ~= nil, print == nil end""")
    assert web.main("""
local old = require "old"
local shut = require "shut"
Send(old.hello("a"), ",", old.hello("b"), ",", old._NAME, ",", tostring(old == _G.old), ",",
    tostring(rawget(_G, "hello")), ",", tostring(rawget(_G, "count")), ",",
    tostring(shut.sees()), ",", tostring(select(2, shut.sees())))
""").text == "hidden a 1,hidden b 2,old,true,nil,nil,true,true"


def test_environments_are_set_and_seen(web):
    assert web.main("""
local function f() return x end
local function g() return x end
setfenv(f, {x = 1})
local env = getfenv(f)
local function inner()
    setfenv(1, setmetatable({y = 5}, {__index = _G}))
    return y, getfenv().y
end
local a, b = inner()
Send(f(), " ", tostring(g()), " ", env.x, " ", a, " ", b, " ", tostring(y), " ",
    tostring(getfenv(0) == _G), " ", tostring(getfenv(print) == _G), " ",
    select(2, pcall(setfenv, -1, {})))
""").text == ("1 nil 1 5 5 nil true true "
              "bad argument #1 to 'setfenv' (a function or a level above 0 expected)")


def test_names_nest(web, site):
    site.write("a.lua", "module('a.b.c', package.seeall) value = 3")
    assert web.main('require "a" Send(a.b.c.value, a.b.c._PACKAGE)').text == "3a.b."


def test_functions_that_went_are_there_again(web):
    assert web.main("""
local t = {}
local found = table.foreach({a = 1, b = 2}, function(k, v) t[k] = v end)
Send(t.a, t.b, tostring(found), " ", table.foreach({a = 1}, function(k) return k end), " ")
table.foreachi({7, 8, 9, x = 1}, function(i, v) Send(i, ":", v, " ") return v == 8 or nil end)
Send(math.mod(-5, 3), " ", tostring(package.loaders == package.searchers), " ",
    math.type(gcinfo()))
""").text == "12nil a 1:7 2:8 -2 true integer"
