-- The file runs once, when a Lua state is made; main() runs for each request. So
-- `count` lasts as long as this state. But a busy script has several states, each with
-- its own count: what all of them must agree on is in Shared.

local page = require "lib.page"

local count = 0
local born = os.date("%H:%M:%S")

-- One of the four small frames. They are requested at the same moment, and each
-- takes a little while, so that several states must serve them.
local function cell()
    os.execute("sleep 0.3")
    Send(page.head("One of four"), '<body class="cell">\n',
         '<p class="big">', Shared.incr("examples:visits"), "</p>\n",
         "<p>", count, " of them by state ", Info.State, "</p>\n",
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

-- Forgets all that is shared here, so that everybody counts from 1 again.
local function start_anew()
    for _, key in ipairs(Shared.keys("examples:")) do
        Shared.delete(key)
    end
    Redirect("counter.lua", 303)
end

local function whole_page()
    Send(page.top("Counter"))
    Send('<p class="big">All states together have counted to ',
         Shared.incr("examples:visits"), ", this one to ", count, ".</p>\n")
    Send(page.table("Who served this request", {
        ["State"] = Info.State,
        ["State made at"] = born,
        ["States of this script"] = ThreadData()[Env.SCRIPT_FILENAME],
        ["Thread"] = Info.Thread,
        ["A text for ten seconds"] = news(),
    }))
    Send('<p><a href="counter.lua">Count again</a></p>\n',
         '<form method="post"><p><button class="quiet">Begin at 1 again</button></p></form>\n')

    Send([[
<h2>Four at once</h2>
<p>One state serves one request at a time, so four that come together are served by
several. The large number is the one they share:</p>
<div class="cells">
]])
    for n = 1, 4 do
        Send('<iframe src="counter.lua?cell=', n, '" title="Count ', n, '">',
             "</iframe>\n")
    end
    Send("</div>\n")

    Send([[
<h2>What a state keeps to itself</h2>
<ul>
<li>Globals and local variables of the file stay, within one state. Another state
of the same script does not see them.</li>
<li>Editing the script, or a module it uses, starts new states: their count begins
at 1. The daemon may drop a state that was idle.</li>
<li><code>Env</code>, <code>Cookies</code> and <code>con</code> belong to one
request.</li>
</ul>
<p>That is the place for what can be made again: parsed templates, database
connections, caches.</p>
<h2>What all states share</h2>
<ul>
<li><code>Shared.incr</code> counts, <code>Shared.add</code> and
<code>Shared.cas</code> tell who was first.</li>
<li><code>Shared.set</code> with a time keeps what is slow to make.</li>
<li><code>Shared.keys</code> lists what is there, and <code>Shared.delete</code> takes
it away.</li>
<li><code>Shared.lock</code> lets one request at a time do something; others
wait.</li>
</ul>
<p class="note">These values are lost when the daemon stops, and the longest unused
go when there is no more room. What must not be lost belongs into a database.</p>
]])
    Send(page.bottom())
end

function main()
    count = count + 1
    Header("Cache-Control", "no-store")
    if Env.REQUEST_METHOD == "POST" then
        start_anew()
    elseif lf.query().cell then
        cell()
    else
        whole_page()
    end
end
