-- The part of a script that lies between the comments "begin" and "end", to be shown on
-- the page that the script makes.

local highlight = require "lib.highlight"

return function(name)
    local file = assert(io.open(name))
    local part = file:read("a"):match("\n%-%- begin\n(.-)\n%-%- end\n")
    file:close()
    return '<pre tabindex="0"><code>' .. highlight(part) .. "</code></pre>\n"
end
