-- Waits in C, as for a database: in LuaSocket's sleep, or where that is not installed for
-- a program.
local there, socket = pcall(require, "socket")

function main()
    Send("inside")
    Flush()
    if there then socket.sleep(30) else io.popen("sleep 30"):read("a") end
end
