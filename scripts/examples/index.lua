-- The front page: a card for each page of the tour, made from lib/pages.lua.

local page = require "lib.page"
local pages = require "lib.pages"

function main()
    Send(page.top("It works"))
    Send([[
<p class="lead">These pages are Lua scripts, run by luafcgid2 behind nginx.</p>
<p>Each one shows one thing and is short. Look at the page, then at its source.
Edit a script and reload the page, and you see the change.</p>
<ul class="cards">
]])
    for _, p in ipairs(pages) do
        Send('<li><a class="name" href="', p.file, '">',
             page.escape(p.title), "</a><p>", page.escape(p.text), "</p>",
             '<a class="source" href="source.lua?file=', lf.urlencode(p.file),
             '">Source of ', p.file, "</a></li>\n")
    end
    Send([[
</ul>
<p>There is also a <a href="no-such-page.lua">page that does not exist</a>.
The manual page <code>luafcgid2-lua(3)</code> describes the functions that the
scripts use.</p>
]])
    Send(page.bottom())
end
