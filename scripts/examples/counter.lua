-- The file runs once, when a Lua state is made; main() runs for each request.
-- So `count` lasts as long as this state. But a busy script has several states,
-- each with its own count.

local page = require "lib.page"

local count = 0
local born = os.date("%H:%M:%S")

-- One of the four small frames. They are requested at the same moment, and each
-- takes a little while, so that several states must serve them.
local function cell()
    os.execute("sleep 0.3")
    Send(page.head("One of four"), '<body class="cell">\n',
         '<p class="big">', count, "</p>\n",
         "<p>state ", Info.State, "<br>thread ", Info.Thread, "</p>\n",
         "</body>\n</html>\n")
end

local function whole_page()
    Send(page.top("Counter"))
    Send('<p class="big">This state has counted to ', count, ".</p>\n")
    Send(page.table("Who served this request", {
        ["State"] = Info.State,
        ["State made at"] = born,
        ["Thread"] = Info.Thread,
        ["States of this script"] = ThreadData()[Env.SCRIPT_FILENAME],
    }))
    Send('<p><a href="counter.lua">Count again</a></p>\n')

    Send([[
<h2>Four at once</h2>
<p>One state serves one request at a time. These four came together:</p>
<div class="cells">
]])
    for n = 1, 4 do
        Send('<iframe src="counter.lua?cell=', n, '" title="Counter ', n, '">',
             "</iframe>\n")
    end
    Send("</div>\n")

    Send([[
<h2>What stays and what does not</h2>
<ul>
<li>Globals and local variables of the file stay, within one state.</li>
<li>Another state of the same script does not see them.</li>
<li>Editing the script, or a module it uses, starts new states: the count
begins at 1.</li>
<li>The daemon may drop a state that was idle, and drops all of them when it
stops.</li>
<li><code>Env</code>, <code>Cookies</code> and <code>con</code> belong to one
request.</li>
</ul>
<p class="note">Use globals for what can be made again: parsed templates, database
connections, caches. Use a session, a file or a database for what must be the
same for every request.</p>
]])
    Send(page.bottom())
end

function main()
    count = count + 1
    Header("Cache-Control", "no-store")
    if lf.parse(Env.QUERY_STRING).cell then
        cell()
    else
        whole_page()
    end
end
