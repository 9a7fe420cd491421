-- Log in and out. The visitor's browser keeps only a random key, in a cookie. The
-- daemon knows who is logged in, from the session of that key.
--
--  * A successful login gives the session a new key (Session.Regenerate), so a
--    key that somebody else put into the browser before is of no use.
--  * Every form contains a secret of its session. Another site does not know it,
--    so it cannot log anybody in or out.
--  * A wrong name and a wrong password get the same answer.
--  * A logout deletes the session in the daemon. None of these pages is cached.

local page = require "lib.page"

-- For this demo only: the passwords are "engine" and "compiler". A real site keeps such
-- hashes in a file that the web server does not serve, and counts failed logins of each
-- account. This made them:
--
--     echo 'function main() Send(lf.password_hash(Env.PASSWORD)) end' >hash.lua
--     luafcgid2 -r hash.lua PASSWORD=engine
local users = {
    ada = "$y$j9T$Xw1iwX2fmbIGpcGys4C/9.$UHqLNwMnpfSwKy9AnfXaUVlZ/HR/JNzOCXjjrC6oIc.",
    grace = "$y$j9T$cVrz.ETc6rd7sUMGqxEfO1$AIO2oX6gE.AZfwWa3QiBqdiPXST/KE7oxGFzOqw78WB",
}

local function form_token()
    return '<input type="hidden" name="csrf" value="' .. lf.csrf() .. '">'
end

local function show_login(message)
    local token = form_token()
    Send(page.top("Login"))
    if message then
        Send('<p class="warn" role="alert">', message, "</p>\n")
    end
    Send('<form class="box" action="login.lua" method="post">\n',
         '<p><label>Name <input name="name" autocomplete="username" ',
         'autocapitalize="none" maxlength="64" required></label></p>\n',
         '<p><label>Password <input name="password" type="password" ',
         'autocomplete="current-password" maxlength="64" required></label></p>\n',
         '<p><button name="action" value="login">Log in</button>', token,
         "</p>\n</form>\n", [[
<p>For this demo: <kbd>ada</kbd> with the password <kbd>engine</kbd>, or
<kbd>grace</kbd> with <kbd>compiler</kbd>.</p>
]], page.bottom())
end

local function show_welcome(user)
    local visits = Session.GetVar("login", "visits") + 1
    Session.SetVar("login", "visits", visits)
    local token = form_token()
    Send(page.top("Login"), '<p class="big">Hello, ', page.escape(user), "!</p>\n",
         "<p>You logged in at ", page.escape(Session.GetVar("login", "since")),
         " and have seen this page ", visits,
         visits == 1 and " time" or " times", " since. Whichever state or ",
         "thread answers, the session is the same.</p>\n",
         '<form class="box" action="login.lua" method="post">\n',
         '<p><button name="action" value="logout">Log out</button>', token,
         "</p>\n</form>\n", page.bottom())
end

local function back()
    Redirect("login.lua", 303)
end

local function log_in()
    local name = lf.field("name", "")
    -- For a name that nobody has this takes as long.
    if not lf.password_verify(lf.field("password", ""), users[name]) then
        show_login("Name or password is wrong.")
        return
    end
    if not Session.Regenerate() then -- another request has just ended the session
        show_login("Please try again.")
        return
    end
    Session.Clear("login")
    Session.SetVar("login", "user", name)
    Session.SetVar("login", "since", os.date("%H:%M:%S"))
    Session.SetVar("login", "visits", 0)
    back()
end

local function post()
    if not lf.csrf_ok() then
        RespStatus(403)
        show_login("That form was too old, or cookies are off. Please try again.")
    elseif lf.field("action") == "logout" then
        Session.Delete()
        back()
    else
        log_in()
    end
end

function main()
    Header("Cache-Control", "no-store")
    local user = Session.GetVar("login", "user")
    if Env.REQUEST_METHOD == "POST" then
        post()
    elseif user then
        show_welcome(user)
    else
        show_login()
    end
end
