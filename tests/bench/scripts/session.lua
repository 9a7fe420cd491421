-- A session variable read and written; the answer is that of hello.lua.
function main()
    Session.SetVar("bench", "count", (Session.GetVar("bench", "count") or 0) + 1)
    Send("hello world")
end
