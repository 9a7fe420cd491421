-- setfenv, getfenv, module, package.seeall, package.loaders, table.foreach, table.foreachi,
-- math.mod and gcinfo of Lua 5.1, for scripts and modules that still need them. To be named
-- as StartupScript in luafcgid2's configuration, or to be had by require "luafcgid2.lua51".
-- The other names of Lua 5.1 (unpack, loadstring, table.getn, ...) are there without it.

-- The number of the upvalue that holds a function's environment. A function in C, and one
-- that uses no global, has none.
local function environment_of(f)
    local i = 0
    repeat
        i = i + 1
        local name = debug.getupvalue(f, i)
        if name == "_ENV" then
            return i
        end
    until not name
end

-- The function at a level of the stack, as its caller counts: 1 is the caller itself.
local function at(f, what)
    if type(f) == "function" then
        return f
    end
    if math.type(f) ~= "integer" or f < 1 then
        error("bad argument #1 to '" .. what .. "' (a function or a level above 0 expected)", 3)
    end
    local info = debug.getinfo(f + 2, "f")
    return info and info.func or error("bad argument #1 to '" .. what .. "' (invalid level)", 3)
end

-- Only this function gets the environment, and the functions that it makes from now on.
function setfenv(f, env)
    f = at(f, "setfenv")
    local i = environment_of(f)
    if i then
        debug.upvaluejoin(f, i, function() return env end, 1)
    end
    return f
end

function getfenv(f)
    if f == 0 then
        return _G
    end
    f = at(f or 1, "getfenv")
    local i = environment_of(f)
    return i and select(2, debug.getupvalue(f, i)) or _G
end

-- The table that a name such as "a.b.c" stands for, made if need be.
local function find_table(name)
    local t = _G
    for part in name:gmatch("[^.]+") do
        local inner = rawget(t, part)
        if inner == nil then
            inner = {}
            t[part] = inner
        elseif type(inner) ~= "table" then
            error("name conflict for module '" .. name .. "'", 3)
        end
        t = inner
    end
    return t
end

function module(name, ...)
    local m = package.loaded[name]
    if type(m) ~= "table" then
        m = find_table(name)
        package.loaded[name] = m
    end
    if m._NAME == nil then
        m._M, m._NAME, m._PACKAGE = m, name, name:match("^(.*%.)[^.]*$") or ""
    end
    setfenv(2, m)
    for _, option in ipairs { ... } do
        if type(option) ~= "string" then -- require of Lua 5.3 gives a chunk the file's name
            option(m)
        end
    end
end

function package.seeall(m)
    local meta = getmetatable(m) or {}
    meta.__index = _G
    setmetatable(m, meta)
end

package.loaders = package.searchers
math.mod = math.fmod

-- Both end at the first value that the function returns, and return it.
function table.foreach(t, f)
    for key, value in next, t do
        local result = f(key, value)
        if result ~= nil then
            return result
        end
    end
end

function table.foreachi(t, f)
    for i = 1, #t do
        local result = f(i, t[i])
        if result ~= nil then
            return result
        end
    end
end

function gcinfo()
    return collectgarbage("count") // 1 | 0
end
