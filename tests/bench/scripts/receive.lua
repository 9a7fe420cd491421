function main()
    Send(#Receive())
end
