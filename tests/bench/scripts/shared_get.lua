-- How many nanoseconds more Shared.get takes than a field of a table.
local COUNT = 1000000
local values = { bench = 1 }

local function seconds(get)
    local before = os.clock()
    for _ = 1, COUNT do
        get "bench"
    end
    return os.clock() - before
end

function main()
    Shared.set("bench", 1)
    local field = seconds(function(key) return values[key] end)
    Send(("%.1f"):format((seconds(function(key) return Shared.get(key) end) - field) / COUNT * 1e9))
end
