-- WSAPI, the web interface of Lua's Kepler project, for scripts of luafcgid2. What this file
-- returns turns an application into an entry point:
--
--     main = require "luafcgid2.wsapi"(application)
--
-- It is part of the program (lua/builtin.c). The chapter WSAPI AND ORBIT of
-- luafcgid2-lua(3) says what applications may rely on.

local Dir, Flush, Header, Log, Receive, RespStatus, Send =
    Dir, Flush, Header, Log, Receive, RespStatus, Send

-- A response whose length the application names is sent in pieces of about this size.
local GATHERED = 65536

-- Each field of these names is a line of its own: a comma in one belongs to its value. All
-- other lists mean the same as one line with commas (RFC 9110 5.2 and 5.3).
local one_a_line = { ["set-cookie"] = true, ["www-authenticate"] = true }

-- WSAPI, Orbit and the modules that they need are in the directories of Lua 5.1, and use
-- its names.
local function find_older_modules()
    local older = {}
    for template in package.path:gmatch("[^;]+") do
        local changed, count = template:gsub("/share/lua/5%.3/", "/share/lua/5.1/")
        if count == 1 then
            older[#older + 1] = changed
        end
    end
    if #older > 0 then
        package.path = package.path .. ";" .. table.concat(older, ";")
    end
    require "luafcgid2.lua51"
end

-- -- What the application gets --

local errors = {}

function errors:write(...)
    local parts = table.pack(...)
    for i = 1, parts.n do
        parts[i] = tostring(parts[i])
    end
    local line = table.concat(parts):gsub("\r?\n$", "")
    if line ~= "" then
        Log("warning", line)
    end
    return self
end

function errors:flush()
    return self
end

local input = {}
input.__index = input

-- All that is left of the body, or at most n bytes of it; nil when nothing is left.
function input:read(n)
    local count = tonumber(n)
    if count and count <= 0 then
        return nil
    end
    local piece = Receive(count or n or "a")
    return piece ~= "" and piece or nil
end

local absent = { __index = function() return "" end }

local function make_env(params)
    local env = {}
    for name, value in pairs(params) do
        env[name] = value
    end
    if (env.PATH_INFO or "") == "" then
        env.PATH_INFO = "/"
    end
    env.APP_PATH = env.APP_PATH or Dir()
    env.input = setmetatable({ length = tonumber(env.CONTENT_LENGTH) or 0 }, input)
    env.error = errors
    return setmetatable(env, absent)
end

-- -- What it answers --

local written = { string = true, number = true, boolean = true }

-- What has no text would tell the visitor an address in memory.
local function text(name, value)
    local meta = getmetatable(value)
    if not written[type(value)] and not (type(meta) == "table" and meta.__tostring) then
        error(("WSAPI: the header '%s' is a %s, not a string"):format(name, type(value)), 0)
    end
    return type(value) == "number" and value or tostring(value)
end

local function set_header(name, value)
    if type(value) ~= "table" then
        Header(name, text(name, value))
    elseif one_a_line[name:lower()] then
        for _, line in ipairs(value) do
            Header(name, text(name, line))
        end
    elseif #value > 0 then
        local list = {}
        for i, item in ipairs(value) do
            list[i] = tostring(text(name, item))
        end
        Header(name, table.concat(list, ", "))
    end
end

-- Of names that differ in case only the last counts, so their order must not be left to
-- chance: wsapi.response adds "Content-Type" to the "Content-type" of an application.
-- Returns whether there is a Content-Length.
local function set_headers(headers)
    local names, has_length = {}, false
    for name in pairs(headers) do
        if type(name) ~= "string" then
            error("WSAPI: the name of a header is a " .. type(name) .. ", not a string", 0)
        end
        names[#names + 1] = name
        has_length = has_length or name:lower() == "content-length"
    end
    table.sort(names)
    for _, name in ipairs(names) do
        set_header(name, headers[name])
    end
    return has_length
end

local function has_body(env, status)
    local code = tonumber(tostring(status):match("^%d+"))
    return env.REQUEST_METHOD ~= "HEAD" and code ~= 204 and code ~= 304
end

local function send_body(iterator, has_length)
    local gathered = 0
    local piece = iterator()
    while piece do
        if type(piece) ~= "string" and type(piece) ~= "number" then
            error("WSAPI: the iterator gave a " .. type(piece) .. ", not a string", 0)
        end
        Send(piece)
        gathered = gathered + #tostring(piece)
        if not has_length or gathered >= GATHERED then
            gathered = 0
            if not Flush() then
                return
            end
        end
        piece = iterator()
    end
end

local function respond(env, status, headers, iterator)
    if status == nil then
        error("WSAPI: the application returned no status", 0)
    end
    if headers ~= nil and type(headers) ~= "table" then
        error("WSAPI: the headers are a " .. type(headers) .. ", not a table", 0)
    end
    RespStatus(status)
    local has_length = set_headers(headers or {})
    if not has_body(env, status) then
        Flush() -- so that no length of nothing is told
    elseif iterator ~= nil then
        send_body(iterator, has_length)
    end
end

find_older_modules()

return function(application)
    local kind = type(application)
    if kind ~= "function" and not (kind == "table" and type(application.run) == "function") then
        error("bad argument #1 to 'luafcgid2.wsapi' (a function, or a table with a function"
            .. " 'run', expected, got " .. (kind == "table" and "a table without one" or kind)
            .. ")", 2)
    end
    return function(params)
        local run = kind == "table" and application.run or application
        local env = make_env(params or Env)
        respond(env, run(env))
    end
end
