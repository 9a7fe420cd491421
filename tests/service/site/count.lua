function main()
    Session.Start()
    local n = (Session.GetVar("test", "n") or 0) + 1
    Session.SetVar("test", "n", n)
    Send(n)
end
