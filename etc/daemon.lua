-- What /etc/init.d/luafcgid2 and the rc.d script give to luafcgid2 -c: the configuration of
-- the administrator, and on top of it what a daemon without a supervisor needs. Changes
-- belong in that configuration, or in /etc/default/luafcgid2.

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
    -- The socket is made by root, and removed at the end by this user.
    if not ListenOwner or ListenOwner == "" then
        ListenOwner = user
    end
end
