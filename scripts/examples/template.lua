-- A page whose HTML is in files of its own: lf.render fills lib/stock.html, which
-- includes lib/item.html for each row. What a template puts in with <%= %> is escaped.

local page = require "lib.page"

-- The goods are read once. An edit of their file renews the state, as lf.watch says;
-- for a template lf.render does that by itself.
local stock = {}
lf.watch("lib/stock.csv")
for line in io.lines("lib/stock.csv") do
    local name, price, left = line:match("^(.-);(.-);(.-)$")
    stock[#stock + 1] = { name = name, price = tonumber(price), left = math.tointeger(left) }
end

local function search(wanted)
    local found = {}
    for _, item in ipairs(stock) do
        if item.name:lower():find(wanted:lower(), 1, true) then
            found[#found + 1] = item
        end
    end
    return found
end

local function show(name)
    local file = assert(io.open(name))
    Send('<pre tabindex="0"><code>', lf.escape(file:read("a")), "</code></pre>\n")
    file:close()
end

function main()
    local wanted = lf.field("q", "")
    Send(page.top("Template"),
         lf.render("lib/stock.html", { items = search(wanted), wanted = wanted }))
    Send("<h2>The templates</h2>\n<p><code>lib/stock.html</code>:</p>\n")
    show("lib/stock.html")
    Send("<p><code>lib/item.html</code>, for each row:</p>\n")
    show("lib/item.html")
    Send(page.bottom())
end
