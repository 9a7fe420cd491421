function main()
    Send(Publish("bench", "news"))
end
