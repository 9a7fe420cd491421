-- A count that all states have in common, unlike the one in counter.lua, and a
-- text that is slow to make, which one request makes for all.

local page = require "lib.page"

local here = 0 -- this state's own count

-- One of the four small frames, which come at the same moment.
local function cell()
    os.execute("sleep 0.3")
    Send(page.head("One of four"), '<body class="cell">\n',
         '<p class="big">', Shared.incr("examples:visits"), "</p>\n",
         "<p>state ", Info.State, "<br>thread ", Info.Thread, "</p>\n",
         "</body>\n</html>\n")
end

-- What everybody reads for ten seconds. Whoever finds it gone takes the lock and
-- looks again, as another request may have made it meanwhile.
local function news()
    local text = Shared.get("examples:news")
    if not text then
        local lock = Shared.lock("examples:news", 5)
        text = Shared.get("examples:news")
        if not text then
            text = "made at " .. os.date("%H:%M:%S") .. " by state " .. Info.State
            Shared.set("examples:news", text, 10)
        end
        lock:unlock()
    end
    return text
end

local function whole_page()
    Send(page.top("Shared"))
    Send('<p class="big">All states together have counted to ',
         Shared.incr("examples:visits"), ".</p>\n")
    Send(page.table("What they share", {
        ["This state's own count"] = here,
        ["A text for ten seconds"] = news(),
        ["Keys of these pages"] = #Shared.keys("examples:"),
    }))
    Send('<p><a href="shared.lua">Count again</a></p>\n')

    Send([[
<h2>Four at once</h2>
<p>Four states serve these, and each number is there once:</p>
<div class="cells">
]])
    for n = 1, 4 do
        Send('<iframe src="shared.lua?cell=', n, '" title="Count ', n, '">',
             "</iframe>\n")
    end
    Send("</div>\n")

    Send([[
<h2>What to keep there</h2>
<ul>
<li><code>Shared.incr</code> counts, <code>Shared.add</code> and
<code>Shared.cas</code> tell who was first.</li>
<li><code>Shared.set</code> with a time keeps what is slow to make.</li>
<li><code>Shared.lock</code> lets one request at a time do something; others
wait.</li>
</ul>
<p class="note">The values are lost when the daemon stops, and the longest unused
go when there is no more room. What must not be lost belongs into a database.</p>
]])
    Send(page.bottom())
end

function main()
    here = here + 1
    Header("Cache-Control", "no-store")
    if lf.parse(Env.QUERY_STRING).cell then
        cell()
    else
        whole_page()
    end
end
