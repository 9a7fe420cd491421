function main()
    Send(Shared.incr("bench"))
end
