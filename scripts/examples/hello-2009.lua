-- The style of 2009: handler() returns the page, one string.

local page = require "lib.page"

function handler(env)
    local name = page.field(lf.parse(env.QUERY_STRING), "name")
    if name == "" then
        name = "World"
    end

    return page.top("Hello, 2009")
        .. '<p class="big">Hello, ' .. page.escape(name) .. "!</p>\n"
        .. [[
<p>The function <code>handler</code> returned this page.</p>
<p>Say hello to <a href="?name=Ada">Ada</a> or
<a href="?name=Grace">Grace</a>.</p>
]]
        .. page.bottom()
end
