-- Lua source as HTML, with comments, strings, numbers and keywords marked.

local page = require "lib.page"

local keywords = {}
for word in ([[and break do else elseif end false for function goto if in local
               nil not or repeat return then true until while]]):gmatch("%a+") do
    keywords[word] = true
end

-- The patterns are tried in this order at each place of the text.
local kinds = {
    { "comment", "^%-%-%[(=*)%[.-%]%1%]" },
    { "comment", "^%-%-[^\n]*" },
    { "string", "^%[(=*)%[.-%]%1%]" },
    { "quoted", "^[\"']" },
    { "number", "^0[xX][%x.]+" },
    { "number", "^%d[%d.eE]*" },
    { "word", "^[%a_][%w_]*" },
    { "plain", "^%s+" },
    { "plain", "^." },
}

-- Returns where the string that begins at `from` ends.
local function closing_quote(text, from)
    local quote, at = text:sub(from, from), from + 1
    while at <= #text do
        local c = text:sub(at, at)
        if c == quote or c == "\n" then
            return at
        end
        at = at + (c == "\\" and 2 or 1)
    end
    return #text
end

local function token(text, at)
    for _, kind in ipairs(kinds) do
        local first, last = text:find(kind[2], at)
        if first and kind[1] == "quoted" then
            return "string", closing_quote(text, at)
        elseif first and kind[1] == "word" then
            return keywords[text:sub(first, last)] and "keyword" or "plain", last
        elseif first then
            return kind[1], last
        end
    end
end

return function(text)
    local out, at = {}, 1
    while at <= #text do
        local kind, last = token(text, at)
        local piece = page.escape(text:sub(at, last))
        if kind ~= "plain" then
            piece = '<span class="' .. kind .. '">' .. piece .. "</span>"
        end
        out[#out + 1] = piece
        at = last + 1
    end
    return table.concat(out)
end
