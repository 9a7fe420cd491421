-- Shows the source of the pages, and of no other file: the name in the request is
-- looked up in a list, and only names of the list are opened.

local page = require "lib.page"
local highlight = require "lib.highlight"

local allowed = {}
for _, p in ipairs(require "lib.pages") do
    allowed[p.file] = true
end
for _, file in ipairs { "index.lua", "source.lua", "lib/page.lua",
                        "lib/pages.lua", "lib/highlight.lua",
                        "lib/greeting.lua", "lib/planets.lua",
                        "lib/source.lua" } do
    allowed[file] = true
end

local function modules(text)
    local links = {}
    for name in text:gmatch('require "(lib%.[%a]+)"') do
        local file = name:gsub("%.", "/") .. ".lua"
        if allowed[file] then
            links[#links + 1] = '<a href="source.lua?file='
                .. lf.urlencode(file) .. '">' .. file .. "</a>"
        end
    end
    return table.concat(links, ", ")
end

function main()
    local name = page.field(lf.parse(Env.QUERY_STRING), "file")
    if not allowed[name] then
        RespStatus(404)
        Send(page.top("No such source"), "<p>The source of <code>",
             page.escape(name), "</code> is not shown here.</p>\n",
             page.bottom())
        return
    end

    local file = assert(io.open(name))
    local text = file:read("a")
    file:close()

    Send(page.top(name))
    if not name:find("/") then
        Send('<p><a href="', name, '">Open the page</a></p>\n')
    end
    Send('<pre tabindex="0"><code>', highlight(text), "</code></pre>\n")
    local used = modules(text)
    if used ~= "" then
        Send("<p>It uses ", used, ".</p>\n")
    end
    Send(page.bottom())
end
