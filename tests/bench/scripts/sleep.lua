function main()
    Sleep(1)
    Send("slept")
end
