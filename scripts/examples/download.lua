-- Files as downloads. SendFile streams a file, whatever its size, and answers those who
-- have it already (304) or want a part of it (206), as players and interrupted downloads
-- do. The name in the request is looked up in a list, and never made a path.

local page = require "lib.page"

local files = {
    { name = "style.css", text = "the style sheet of these pages" },
    { name = "lib/stock.csv", text = "the goods of template.lua" },
    { name = "download.lua", text = "this script" },
}

local function find(name)
    for _, file in ipairs(files) do
        if file.name == name then
            return file
        end
    end
end

local script = [[
<script>
const output = document.querySelector("output");
document.querySelector("button").addEventListener("click", async () => {
    const answer = await fetch("download.lua?file=style.css",
        { headers: { Range: "bytes=0-71" } });
    output.textContent = `${answer.status}, ${answer.headers.get("Content-Range")}\n\n`
        + await answer.text();
});
</script>
]]

local function show_list()
    Send(page.top("Download"), "<ul>\n")
    for _, file in ipairs(files) do
        Send('<li><a href="download.lua?file=', lf.urlencode(file.name), '">',
             lf.escape(file.name), "</a>: ", lf.escape(file.text), "</li>\n")
    end
    Send([[
</ul>
<h2>A part</h2>
<p>A browser that goes on with a download asks for what is missing. This asks for the
first 72 bytes of the style sheet:</p>
<p><button>Ask</button></p>
<pre tabindex="0"><output aria-live="polite">The answer comes here.</output></pre>
<p class="note">With <code>SendFileHeader</code> the web server sends the file, and the
script is done at once.</p>
]], script, page.bottom())
end

function main()
    local file = find(lf.field("file"))
    if file then
        SendFile(file.name, { name = file.name:match("[^/]*$"), maxage = 60 })
    else
        show_list()
    end
end
