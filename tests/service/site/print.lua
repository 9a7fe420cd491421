function main()
    Log("a line from a script")
    Send("logged")
end
