-- Edit this file while the demo runs, and reload the page.

local greeting = {}

function greeting.text(hour)
    if hour < 12 then
        return "Good morning!"
    elseif hour < 18 then
        return "Good afternoon!"
    end
    return "Good evening!"
end

return greeting
