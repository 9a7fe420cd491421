-- The lengths of all fields of a form, added up.
function main()
    local sum = 0
    for _, value in pairs(lf.form()) do
        sum = sum + #value
    end
    Send(sum)
end
