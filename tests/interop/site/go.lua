function main()
    Send(Publish("go " .. Env.QUERY_STRING, ""))
end
