function main()
    RespStatus("201 Created")
    RespContentType("text/x-own")
    Header("Set-Cookie", "first=1; Path=/")
    Header("Set-Cookie", "second=2; Path=/")
    Send("made")
end
