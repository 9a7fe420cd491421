-- The v2 style: main() reads globals (Env, Cookies, Config, ...) and calls
-- globals (Send, Receive, Header, ...).

local page = require "lib.page"

function main()
    local name = page.field(lf.parse(Env.QUERY_STRING), "name")
    if name == "" then
        name = "World"
    end

    Header("X-Greeting", "hello")
    Send(page.top("Hello, v2"))
    Send('<p class="big">Hello, ', page.escape(name), "!</p>\n")
    Send([[
<p>The function <code>main()</code> called <code>Send</code>.</p>
<p>Say hello to <a href="?name=Ada">Ada</a> or
<a href="?name=Grace">Grace</a>.</p>
]])
    Send(page.bottom())
end
