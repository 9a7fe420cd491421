-- Sends the next event when the client says that it has the last one.
function main()
    local go = Subscribe("go " .. Env.QUERY_STRING)
    for i = 1, 5 do
        Event(i)
        if not go:next(60) then
            return
        end
    end
end
