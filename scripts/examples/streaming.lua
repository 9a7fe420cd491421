-- Flush() sends what there is so far; the rest follows on the same connection.

local page = require "lib.page"

function main()
    Header("X-Accel-Buffering", "no") -- or nginx would collect the pieces
    Header("Cache-Control", "no-store")
    Send(page.top("Streaming"))
    Send("<p>Each line is sent as soon as it is known.</p>\n<ol reversed>\n")

    for left = 5, 1, -1 do
        Send("<li>", os.date("%H:%M:%S"), "</li>\n")
        Flush()
        os.execute("sleep 0.4") -- stands for work; Lua has no sleep of its own
    end

    Send([[
</ol>
<p class="big">Done.</p>
<p>The first flush sends the headers. From then on it is too late to change
them, and the response has no <code>Content-Length</code>. A page that is never
flushed has an exact one.</p>
<p>While it waits, this request keeps one worker thread. For pages that wait
long, raise <code>WorkerThreads</code> in the configuration.</p>
<p><a href="streaming.lua">Again</a></p>
]])
    Send(page.bottom())
end
