-- A note that the browser keeps. A POST changes it and sends the browser back
-- to this page (303), so that a reload does not send the form again.

local page = require "lib.page"

local function change(form)
    if form.action == "delete" then
        SetCookie("note", nil)
    else
        SetCookie("note", page.field(form, "note"):sub(1, 200),
            { maxage = 7 * 24 * 3600, httponly = true, samesite = "Lax" })
    end
    Redirect("cookies.lua", 303)
end

local function show()
    local note = lf.urldecode(Cookies.note) -- SetCookie encodes what it must
    Send(page.top("Cookies"))
    if note then
        Send('<p class="big">Your note: ', page.escape(note), "</p>\n")
    else
        Send('<p class="big">There is no note yet.</p>\n')
    end
    Send('<form class="box" action="cookies.lua" method="post">\n',
         '<p><label>Note <input name="note" maxlength="100" required value="',
         page.escape(note or ""), '"></label></p>\n',
         '<p><button name="action" value="save">Save in a cookie</button>',
         '<button class="quiet" name="action" value="delete" formnovalidate>',
         "Delete the cookie</button></p>\n</form>\n")
    Send(page.table("Cookies: what your browser sent", Cookies))
    Send([[
<p>The visitor can read and change a cookie. Keep what the visitor must not
change in a session, as the <a href="login.lua">login</a> does.</p>
]])
    Send(page.bottom())
end

function main()
    if Env.REQUEST_METHOD == "POST" then
        change(lf.parse(Receive()))
    else
        show()
    end
end
