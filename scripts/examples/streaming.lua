-- Flush() sends what the script has made so far. The rest follows later.

local page = require "lib.page"

function main()
    Header("X-Accel-Buffering", "no") -- otherwise nginx collects the pieces
    Header("Cache-Control", "no-store")
    Send(page.top("Streaming"))
    Send("<p>Each line is sent as soon as it is known.</p>\n<ol reversed>\n")

    for left = 5, 1, -1 do
        Send("<li>", os.date("%H:%M:%S"), "</li>\n")
        Flush()
        Sleep(0.4) -- stands for work
    end

    Send([[
</ol>
<p class="big">Done.</p>
<p>The first flush sends the headers, so they can no longer change, and the
response has no <code>Content-Length</code>. A page that is never flushed has an
exact one.</p>
<p>While this page waits, no worker thread waits with it: <code>Sleep</code> gives the
thread to other requests.</p>
<p><a href="streaming.lua">Again</a></p>
]])
    Send(page.bottom())
end
