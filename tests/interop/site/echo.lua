function main()
    RespContentType("application/octet-stream")
    Send(Receive())
end
