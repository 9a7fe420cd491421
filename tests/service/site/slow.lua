-- Flushes, so that a client knows it runs, then takes its time in a child process.
function main()
    RespContentType("text/plain")
    Send("begun,")
    Flush()
    local ok = os.execute("sleep 2")
    Send(ok and "slept," or "woken,", "ended")
end
