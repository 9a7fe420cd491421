-- Computes for ever: until RequestTimeout.
function main()
    Send("inside")
    Flush()
    while true do end
end
