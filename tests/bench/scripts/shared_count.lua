-- Counts up as often as the query says, and answers how far the counter is.
function main()
    for _ = 1, tonumber(Env.QUERY_STRING) do
        Shared.incr("count")
    end
    Send(Shared.get("count"))
end
