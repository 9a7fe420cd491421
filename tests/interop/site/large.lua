local line = ("0123456789abcdef"):rep(64)

function main()
    RespContentType("text/plain")
    for _ = 1, 1024 do
        Send(line)
    end
end
