-- Answers with a page or, for ?svg, with the picture that the page shows.

local page = require "lib.page"

-- A hand of the clock: `turn` of a whole turn, from the top, clockwise.
local function hand(class, turn, length)
    local angle = turn * 2 * math.pi
    return ('<line class="%s" x2="%.2f" y2="%.2f"/>\n'):format(
        class, length * math.sin(angle), -length * math.cos(angle))
end

local function clock(now)
    RespContentType("image/svg+xml")
    Send([[
<svg xmlns="http://www.w3.org/2000/svg" viewBox="-110 -110 220 220">
<style>
:root { color-scheme: light dark; }
circle { fill: none; stroke: #5c6370; stroke-width: 4; }
line { stroke: #1d4fa8; stroke-width: 6; stroke-linecap: round; }
line.second { stroke: #a3341f; stroke-width: 2; }
line.mark { stroke: #5c6370; stroke-width: 2; stroke-dasharray: 0 90 8; }
@media (prefers-color-scheme: dark) {
circle, line.mark { stroke: #9ba2ae; }
line { stroke: #8db8ff; }
line.second { stroke: #ff9c86; }
}
</style>
<circle r="104"/>
]])
    for mark = 0, 11 do
        Send(hand("mark", mark / 12, 98))
    end
    Send(hand("hour", (now.hour + now.min / 60) / 12, 52),
         hand("minute", (now.min + now.sec / 60) / 60, 78),
         hand("second", now.sec / 60, 84), "</svg>\n")
end

function main()
    local now = os.date("*t")
    Header("Cache-Control", "no-store")
    if Env.QUERY_STRING == "svg" then
        clock(now)
        return
    end
    local words = ("%02d:%02d:%02d"):format(now.hour, now.min, now.sec)
    Send(page.top("Picture"), [[
<p>This is the server's clock. The same script draws it, and says with
<code>RespContentType</code> that it is an SVG picture:</p>
]])
    Send('<img class="picture" width="220" height="220" src="picture.lua?svg" ',
         'alt="A clock that shows ', words, '">\n')
    Send("<p>It is ", words, '. <a href="picture.lua">Look again</a></p>\n')
    Send(page.bottom())
end
