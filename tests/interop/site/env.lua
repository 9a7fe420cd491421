-- One "name=value" a line.
function main()
    RespContentType("text/plain")
    for name, value in pairs(Env) do
        Send(name, "=", tostring(value):gsub("\n", " "), "\n")
    end
end
