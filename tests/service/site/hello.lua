function main()
    RespContentType("text/plain")
    Send("hello")
end
