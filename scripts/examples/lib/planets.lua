-- An Orbit application: what is asked for comes in the address, after the script's name.

local orbit = require "orbit"
local page = require "lib.page"

local known = {
    { "Mercury", 4879, "0.24 years" }, { "Venus", 12104, "0.62 years" },
    { "Earth", 12756, "1 year" }, { "Mars", 6792, "1.88 years" },
    { "Jupiter", 142984, "11.9 years" }, { "Saturn", 120536, "29.5 years" },
    { "Uranus", 51118, "84 years" }, { "Neptune", 49528, "165 years" },
}

local function find(name)
    for _, planet in ipairs(known) do
        if planet[1]:lower() == name:lower() then
            return planet
        end
    end
end

module("planets", package.seeall, orbit.new)

-- -- What answers --

function list(web)
    return layout(web, "Orbit", show_list(web))
end

function one(web, name)
    local planet = find(name)
    return planet and layout(web, planet[1], show_one(web, planet)) or not_found(web)
end

function search(web)
    local planet = find(page.field(web.POST, "name"))
    return planet and web:redirect(web:link("/planet/" .. planet[1])) or not_found(web)
end

function not_found(web)
    web.status = "404 Not Found"
    return layout(web, "No such planet", show_back(web))
end

-- The daemon's page and log are for errors here as everywhere.
function server_error(_, message)
    error(message, 0)
end

planets:dispatch_get(list, "/")
planets:dispatch_get(one, "/planet/(%a+)")
planets:dispatch_post(search, "/search")
planets.dispatch_table.head = planets.dispatch_table.get

-- -- What it looks like --

-- The addresses of this page are deeper than those that page.top links to.
function layout(web, title, content)
    local base = (web.script_name:match("^.*/") or "/")
    local top = page.top(title):gsub("<head>",
        function() return '<head>\n<base href="' .. page.escape(base) .. '">' end, 1)
    return top .. content .. page.bottom()
end

-- In these every unknown name makes an HTML element. Orbit escapes nothing, so whatever a
-- visitor has sent must go through page.escape.

function show_list(web)
    local items = {}
    for i, planet in ipairs(known) do
        items[i] = li { a { href = web:link("/planet/" .. planet[1]), planet[1] } }
    end
    return p "Each planet has an address of its own." .. ul(items) ..
        form.box { method = "post", action = web:link("/search"),
            p { label { "Name ", input { name = "name", maxlength = 20 } }, " ",
                button "Find" } }
end

function show_one(web, planet)
    return page.table("What is known of " .. planet[1],
        { Diameter = planet[2] .. " km", ["Way round the Sun"] = planet[3] }) ..
        show_back(web)
end

function show_back(web)
    return p { a { href = web:link("/"), "All planets" } }
end

orbit.htmlify(planets, "show_.+")

return planets
