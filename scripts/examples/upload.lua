-- Files that a visitor sends. They go to the disk as they come, so their size is no
-- matter of memory, and they are gone after the request, since this page saves none:
-- file:save(path) would. The names are the visitor's, so they are shown, escaped, and
-- never made the name of a file here.

local page = require "lib.page"

local function as_list(value)
    return type(value) == "table" and value or { value }
end

local function show_form()
    Send([[
<form class="box" action="upload.lua" method="post" enctype="multipart/form-data">
<p><label>Title <input name="title" maxlength="200" value="]],
         page.escape(lf.field("title", "")), [["></label></p>
<p><label>Files <input type="file" name="files" multiple></label></p>
<p><button>Send</button></p>
</form>
]])
end

-- The sum of all bytes, read in pieces: no more than one is in memory.
local function checksum(file)
    local sum = 0
    for piece in function() return file:read(4096) end do
        for i = 1, #piece do
            sum = (sum + piece:byte(i)) & 0xFFFFFFFF
        end
    end
    return ("%08x"):format(sum)
end

local function show_files(files)
    for _, file in ipairs(files) do
        Send(page.table(file.name, {
            Size = ("%d bytes"):format(file.size),
            Type = file.type,
            ["Sum of its bytes"] = file.size <= 1000000 and checksum(file)
                or "not for more than a million bytes",
        }))
    end
end

function main()
    local files = as_list(lf.files().files)
    Send(page.top("Upload"))
    Send([[
<p>Choose some files. They travel to this server, are looked at, and are forgotten.</p>
]])
    show_form()
    if #files > 0 then
        Send("<h2>What arrived</h2>\n")
        show_files(files)
        Send('<p class="note">The daemon takes ', "<code>MaxUploadSize</code> bytes, the ",
             "web server may take less.</p>\n")
    end
    Send(page.bottom())
end
