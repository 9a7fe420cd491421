-- A form, sent by GET or by POST. GET puts the fields into the address, where lf.query
-- finds them, POST into the request's body, where lf.form does. lf.field gives one of
-- them, from either, and always as a string.

local page = require "lib.page"

local function is_ticked(form, name)
    local likes = form.likes
    if type(likes) ~= "table" then
        return likes == name -- one tick is a string, several are a list
    end
    for _, like in ipairs(likes) do
        if like == name then
            return true
        end
    end
    return false
end

local function show_form(form)
    Send('<form class="box" action="form.lua">\n',
         '<p><label>Your text <input name="text" maxlength="200" value="',
         page.escape(lf.field("text", "")), '"></label></p>\n',
         "<fieldset><legend>You like</legend>\n")
    for _, name in ipairs { "tea", "coffee", "water" } do
        Send('<label class="inline"><input type="checkbox" name="likes" value="',
             name, '"', is_ticked(form, name) and " checked" or "", ">", name,
             "</label>\n")
    end
    Send("</fieldset>\n",
         '<p><button formmethod="post">Send by POST</button>',
         '<button class="quiet" formmethod="get">Send by GET</button></p>\n',
         "</form>\n")
end

local function show_fields(form)
    local fields = {}
    for name, value in pairs(form) do
        fields[name] = type(value) == "table" and table.concat(value, ", ") or value
    end
    Send(page.table("The table of the fields", fields))
end

function main()
    local post = Env.REQUEST_METHOD == "POST"
    local form = post and lf.form() or lf.query()

    Send(page.top("Form"))
    Send([[
<p>Type anything. <code>&lt;b&gt;bold&lt;/b&gt;</code> is a good test: it must
come back as text, not as markup.</p>
]])
    show_form(form)
    if next(form) then
        Send("<h2>What arrived by ", post and "POST" or "GET", "</h2>\n")
        show_fields(form)
        Send('<p class="note">The table is safe because every value went through ',
             "<code>page.escape</code> on its way out. <code>",
             post and "lf.form" or "lf.query", "</code> made it.</p>\n")
    end
    Send(page.bottom())
end
