function main()
    RespContentType("text/plain")
    Send("hello ", Env.QUERY_STRING or "")
end
