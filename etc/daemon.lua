-- The file that /etc/init.d/luafcgid2 and the rc.d script give to luafcgid2 -c. It reads
-- the administrator's configuration and adds what a daemon without a supervisor needs.
-- Make changes in that configuration, or in /etc/default/luafcgid2.

local file = os.getenv("LUAFCGID2_CONFIG") or "/etc/luafcgid2/config.lua"
local user = os.getenv("LUAFCGID2_USER") or ""

local chunk, problem = loadfile(file)
if not chunk then
    error(problem, 0)
end
chunk()

Daemonize = true
PidFile = os.getenv("LUAFCGID2_PIDFILE") or PidFile
if user ~= "" then
    User = user
    -- Root makes the socket, and this user removes it at the end.
    if not ListenOwner or ListenOwner == "" then
        ListenOwner = user
    end
end
