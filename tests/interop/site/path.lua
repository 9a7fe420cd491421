function main()
    RespContentType("text/plain")
    Send(Env.PATH_INFO or "nothing")
end
