-- What session.lua has counted; makes the session that it then uses.
function main()
    Session.Start()
    Send(Session.GetVar("bench", "count") or 0)
end
