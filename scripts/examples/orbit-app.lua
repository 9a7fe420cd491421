-- An application of Orbit, a framework of the Lua world that speaks WSAPI. Debian has it as
-- lua-orbit. The application is in lib/planets.lua; what it answers is the page.

local page = require "lib.page"
local handler = require "luafcgid2.wsapi" -- comes first: it shows Lua where Orbit is

if pcall(require, "orbit") then
    main = handler(require "lib.planets")
else
    function main()
        Send(page.top("Orbit"), [[
<p>Orbit is not installed here. On Debian and Raspberry Pi OS this installs it:</p>
<pre tabindex="0"><code>sudo apt-get install lua-orbit</code></pre>
<p>Then open this page again.</p>
]], page.bottom())
    end
end
