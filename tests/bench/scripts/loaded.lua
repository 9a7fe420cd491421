-- How many scripts are in memory.
function main()
    local count = 0
    for _ in pairs(ThreadData()) do
        count = count + 1
    end
    Send(count)
end
