-- Everything that a script can read, as tables. All of it goes through
-- page.escape, because a browser may send any bytes in its headers.

local page = require "lib.page"

local function shown(value)
    return type(value) == "table" and lf.serialize(value) or value
end

local function all(values)
    local t = {}
    for name, value in pairs(values or {}) do
        t[name] = shown(value)
    end
    return t
end

function main()
    Send(page.top("Environment"))
    Send([[
<p>The web server describes each request in <code>Env</code>. A script may change
it; the next request does not see the change.</p>
]])
    Send(page.table("Env: the request", all(Env)))

    Send([[
<p>The headers of the request are there as <code>HTTP_*</code>. <code>lf.header</code>
finds them by the names that they have in HTTP, in any case.</p>
]])
    Send(page.table("lf.header: some headers", {
        ["Host"] = lf.header("Host"),
        ["User-Agent"] = lf.header("User-Agent"),
        ["accept-language"] = lf.header("accept-language"),
    }))

    Send("<h2>Cookies</h2>\n")
    Send(page.table("Cookies: what the browser sent back", all(Cookies)))

    Send("<h2>The script itself</h2>\n")
    Send(page.table("Values about the state that runs this", {
        ["Info.State"] = Info.State,
        ["Info.Thread"] = Info.Thread,
        ["Dir()"] = Dir(),
        ["LUAFCGID_VERSION"] = LUAFCGID_VERSION,
        ["_VERSION"] = _VERSION,
        ["Response[404]"] = Response[404],
        ["package.path"] = package.path:gsub(";", "\n"),
    }))

    Send([[
<h2>The configuration</h2>
<p>The table <code>Config</code> in the daemon's configuration is for scripts.
<code>LocalConfig</code> is the part that has the name of the server.</p>
]])
    Send(page.table("Config", all(Config)))
    Send(page.table("LocalConfig", all(LocalConfig)))
    Send(page.bottom())
end
