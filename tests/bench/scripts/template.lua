-- A page with a table of 50 rows, whose texts have to be escaped.
function main()
    local rows = {}
    for i = 1, 50 do
        rows[i] = { name = "Row <" .. i .. ">", price = i * 3 }
    end
    Send(lf.render("template.html", { title = "Fifty & more", rows = rows }))
end
