-- Says how a wait ended in which nothing came.
function main()
    Event("begin")
    local well, why = pcall(Sleep, 600)
    Log("silent.lua ends: ", well or why)
    error(why, 0)
end
