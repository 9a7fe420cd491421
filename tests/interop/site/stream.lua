-- The second part comes when the first was read: its reader makes the file named go.
function main()
    RespContentType("text/plain")
    Send("first,")
    Flush()
    local go = Env.DOCUMENT_ROOT .. "/go"
    for _ = 1, 1000 do
        local file = io.open(go)
        if file then
            file:close()
            Send("second")
            return
        end
        os.execute("sleep 0.01")
    end
    Send("too late")
end
