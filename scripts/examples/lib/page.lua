-- Functions that all pages use. Each returns a string, so that scripts of all
-- three styles can use it.

local pages = require "lib.pages"

local page = {}

local entities = {
    ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;",
    ["'"] = "&#39;",
}

-- Makes any value safe between tags and inside quoted attributes. Everything that
-- does not come from the script itself must go through this function.
function page.escape(value)
    local s = tostring(value)
    if not utf8.len(s) then
        s = s:gsub("[\x80-\xFF]", "\u{FFFD}")
    end
    s = s:gsub("[^%C\t\n\r]", "\u{FFFD}")
    return (s:gsub("[&<>\"']", entities))
end

-- Returns one field of a parsed form, always as a string. It is "" if the field
-- is missing, and the first value if the field appears several times (lf.parse
-- then makes a list).
function page.field(form, name)
    local value = form[name]
    if type(value) == "table" then
        value = value[1]
    end
    return value or ""
end

-- Returns the name of the requested file, and its place in lib/pages.lua.
local function this_page()
    local file = Env.SCRIPT_FILENAME:match("[^/]*$")
    for i, p in ipairs(pages) do
        if p.file == file then
            return file, i
        end
    end
    return file
end

local function step(place, rel, before, after)
    local p = pages[place]
    if not p then
        return ""
    end
    return '<a rel="' .. rel .. '" href="' .. p.file .. '">' .. before
        .. page.escape(p.title) .. after .. "</a>"
end

-- The beginning of an HTML document, without the body. Whoever has subscribed to the
-- channel "page" (live.lua) hears that it was asked for.
function page.head(title)
    Publish("page", title)
    return [[
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>]] .. page.escape(title) .. [[</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="style.css">
</head>
]]
end

-- Everything above a page's own content. A page of class "wide" may be as wide as the
-- window.
function page.top(title, class)
    local _, place = this_page()
    local steps = ""
    if place then
        steps = '<nav aria-label="Tour">'
            .. step(place - 1, "prev", "\u{2190}\u{A0}", "")
            .. step(place + 1, "next", "", "\u{A0}\u{2192}") .. "</nav>"
    end
    return page.head(title .. " \u{2013} luafcgid2 examples")
        .. (class and '<body class="' .. class .. '">' or "<body>")
        .. '\n<header class="bar">'
        .. '<a class="home" href="index.lua">luafcgid2 examples</a>' .. steps
        .. "</header>\n<main>\n<h1>" .. page.escape(title) .. "</h1>\n"
end

-- Everything below a page's own content.
function page.bottom()
    local states = ThreadData()[Env.SCRIPT_FILENAME] or 1
    return '</main>\n<footer class="foot"><a href="source.lua?file='
        .. lf.urlencode((this_page())) .. '">Source of this page</a>'
        .. "<details><summary>served by state " .. Info.State .. " on thread "
        .. Info.Thread .. "</summary>\n<p>A state is a copy of the script in memory, with "
        .. "variables of its own; this script has " .. states .. " now. A state "
        .. "serves one request at a time, and a thread of the daemon runs it "
        .. 'meanwhile. <a href="counter.lua">Counter</a> shows what that means.</p>'
        .. "</details></footer>\n</body>\n</html>\n"
end

-- A table of names and values, sorted by name.
function page.table(caption, values)
    local names = {}
    for name in pairs(values) do
        names[#names + 1] = name
    end
    table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
    local rows = {}
    for i, name in ipairs(names) do
        rows[i] = '<tr><th scope="row">' .. page.escape(name) .. "</th><td>"
            .. page.escape(values[name]) .. "</td></tr>\n"
    end
    if #rows == 0 then
        rows[1] = '<tr><td>nothing here</td></tr>\n'
    end
    return '<div class="scroll"><table>\n<caption>' .. page.escape(caption)
        .. "</caption>\n" .. table.concat(rows) .. "</table></div>\n"
end

return page
