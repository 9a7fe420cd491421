-- The v1 style: main() gets the request's environment and the connection as
-- arguments, and answers with the connection's methods.

local lf = require "luafcgid"
local page = require "lib.page"

function main(env, con)
    local name = page.field(lf.parse(env.QUERY_STRING), "name")
    if name == "" then
        name = "World"
    end

    con:header("X-Greeting", "hello")
    con:puts(page.top("Hello, v1"))
    con:puts('<p class="big">Hello, ' .. page.escape(name) .. "!</p>\n")
    con:puts([[
<p>The function <code>main(env, con)</code> called <code>con:puts</code>.</p>
<p>Say hello to <a href="?name=Ada">Ada</a> or
<a href="?name=Grace">Grace</a>.</p>
]])
    con:puts(page.bottom())
end
