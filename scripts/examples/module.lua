-- require finds modules beside the script: "lib.greeting" is lib/greeting.lua.

local page = require "lib.page"
local highlight = require "lib.highlight"
local greeting = require "lib.greeting"

function main()
    Send(page.top("Module"))
    local text = greeting.text(os.date("*t").hour)
    Send('<p class="big">', page.escape(text), "</p>\n", [[
<p>That line comes from a module. Change the module, wait a second, and reload
the page: every script that uses the module has the new one, and no request
fails.</p>
]])
    Send("<p>The module is <code>", page.escape(Dir()),
         "/lib/greeting.lua</code>:</p>\n")

    local file = assert(io.open("lib/greeting.lua"))
    Send('<pre tabindex="0"><code>', highlight(file:read("a")),
         "</code></pre>\n")
    file:close()

    Send([[
<p>The file was opened as <code>lib/greeting.lua</code>, because the working
directory of a script is the directory that it lies in. A web server should not
serve the folder <code>lib</code>; this one does not.</p>
]])
    Send(page.bottom())
end
