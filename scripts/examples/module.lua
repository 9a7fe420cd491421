-- require finds modules beside the script: "lib.greeting" is lib/greeting.lua.

local page = require "lib.page"
local highlight = require "lib.highlight"
local greeting = require "lib.greeting"

function main()
    Send(page.top("Module"))
    local text = greeting.text(os.date("*t").hour)
    Send('<p class="big">', page.escape(text), "</p>\n", [[
<p>That line comes from a module. Change it, wait a second, reload: every script
that uses the module has the new one, and no request fails meanwhile.</p>
]])
    Send("<p>The module is <code>", page.escape(Dir()),
         "/lib/greeting.lua</code>:</p>\n")

    local file = assert(io.open("lib/greeting.lua"))
    Send('<pre tabindex="0"><code>', highlight(file:read("a")),
         "</code></pre>\n")
    file:close()

    Send([[
<p>The file was opened as <code>lib/greeting.lua</code>: a script's own
directory is its working directory. The web server should refuse to serve that
folder, as this one does.</p>
]])
    Send(page.bottom())
end
