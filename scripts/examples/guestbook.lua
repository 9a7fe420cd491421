-- What visitors write stays. An entry is a line of a file in Info.DataDir, a directory
-- that the web server does not serve: name=Ada&text=Hello&time=1764000000.

local page = require "lib.page"

local function open(mode)
    return io.open(Info.DataDir .. "/examples-guestbook", mode)
end

-- All states write to one file. The lock lets one request at a time do so.
local function add(name, text)
    local lock = Shared.lock("examples:guestbook")
    local file = assert(open("a"))
    assert(file:write("name=", lf.urlencode(name), "&text=", lf.urlencode(text),
                      "&time=", os.time(), "\n"))
    assert(file:close())
    lock:unlock()
end

-- The newest entries, of the last 64 KiB. The first line there may be half of one.
local function latest(most)
    local list, file = {}, open("r")
    if not file then
        return list -- nobody has written yet
    end
    if file:seek("end") > 65536 then
        file:seek("end", -65536)
        file:read("l")
    else
        file:seek("set")
    end
    for line in file:lines("L") do
        if line:sub(-1) == "\n" then -- else it is just being written
            table.insert(list, 1, lf.parse(line:sub(1, -2)))
            list[most + 1] = nil
        end
    end
    file:close()
    return list
end

local function show_form(message)
    Send('<form class="box" action="guestbook.lua" method="post">\n')
    if message then
        Send('<p class="warn" role="alert">', message, "</p>\n")
    end
    Send('<p><label>Your name <input name="name" maxlength="40" required value="',
         page.escape(lf.field("name", "")), '"></label></p>\n',
         '<p><label>Text <textarea name="text" maxlength="500" rows="4" required>',
         page.escape(lf.field("text", "")), "</textarea></label></p>\n",
         '<p><button>Write</button><input type="hidden" name="csrf" value="',
         lf.csrf(), '"></p>\n</form>\n')
end

local function show_entries(list)
    for _, entry in ipairs(list) do
        Send('<article class="box">\n<h2>', page.escape(entry.name), "</h2>\n<p>",
             page.escape(entry.text), '</p>\n<p class="note">',
             os.date("!%d %B %Y, %H:%M UTC", tonumber(entry.time)), "</p>\n</article>\n")
    end
    if #list == 0 then
        Send("<p>Nobody has written yet.</p>\n")
    end
end

-- Returns what is wrong with the form, or nil when the entry is in the book.
local function write()
    local name, text = lf.field("name", ""), lf.field("text", "")
    if not lf.csrf_ok() then
        return "That form was too old, or cookies are off. Please try again."
    elseif not (name:find("%S") and text:find("%S")) then
        return "Please write your name and a text."
    elseif #name > 200 or #text > 2000 then
        return "That is too long."
    end
    add(name, text)
end

function main()
    local message
    if Env.REQUEST_METHOD == "POST" then
        message = write()
        if not message then
            return Redirect("guestbook.lua", 303)
        end
        RespStatus(400)
    end
    Header("Cache-Control", "no-store")
    lf.csrf() -- makes the session while its cookie can still be sent
    Send(page.top("Guestbook"))
    Send("<p>Everybody who sees this site can read what you write here, until the ",
         "file is removed.</p>\n")
    show_form(message)
    show_entries(latest(50))
    Send(page.bottom())
end
