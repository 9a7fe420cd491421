-- The configuration of luafcgid2, with every option at its default.
--
-- This is a Lua file: "--" begins a comment, text stands in quotes, and the file may
-- compute (64 * 1024 * 1024 is fine). Change what you need and leave out the rest: an
-- option that is not set has the value shown here. Check the file before you use it:
--
--     luafcgid2 -t -c /etc/luafcgid2/config.lua
--
-- The daemon reads it at start, and again on SIGHUP (systemctl reload luafcgid2). Options
-- marked [restart] change only when the daemon is started again. A mistake in a reloaded
-- file is reported in the log, and the daemon goes on with what it had.
--
-- Names in <angle brackets> are those of luafcgid, which work as well.
-- luafcgid2-config(5) says more of each option: man luafcgid2-config

---------------------------------------------------------------------------------------
-- Listening and running
---------------------------------------------------------------------------------------

-- Where the web server finds the daemon [restart] <listen>. One of
--     "/run/luafcgid2/luafcgid2.sock"   a unix socket: fastest, and private
--     ":9000"                           TCP, this machine only
--     "192.168.1.5:9000", "[::1]:9000"  TCP on one address
--     "*:9000"                          TCP on every address. Whoever can connect may run
--                                       any script, so put a firewall in front of it
--     "fd:0"                            a socket that is already open (spawn-fcgi)
-- nginx wants the same: fastcgi_pass unix:/var/tmp/luafcgid2.sock;
Listen = "/var/tmp/luafcgid2.sock"

-- How many requests are served at once, 1 to 1024 [restart] <workers>. A script that
-- computes wants one per processor core; scripts that wait (for a database, another
-- server) want more. 4 suits a Raspberry Pi.
WorkerThreads = 4

-- How many new connections the system queues while all workers are busy, -1 to 65535;
-- -1 means the default [restart] <backlog>.
Backlog = 511

-- How many connections from web servers may be open, 1 to 1000000 [restart]. When one
-- more comes, the one that has been idle longest makes room.
MaxConnections = 1024

-- The largest request head, 1024 to 1048576 bytes [restart]: all parameters together, in
-- which the web server passes address, headers and cookies.
MaxHeadSize = 65536

-- Who may connect to the unix socket: permissions as for chmod, in quotes, and owner and
-- group by name or number [restart]. "" leaves owner and group as the system made them.
-- The user that nginx runs as (www-data on Debian) must be able to write to the socket.
ListenMode = "0660"
ListenOwner = ""
ListenGroup = ""

-- Become this user and group once the socket is open, when started as root [restart].
-- "" keeps the user; the group then is that of the user. Scripts can do what this user
-- can do.
User = ""
Group = ""

-- A file for the process id, kept locked while the daemon runs; "" for none [restart].
-- systemd needs none, init scripts do.
PidFile = ""

-- Go to the background [restart] <daemonize>. Not under systemd.
Daemonize = false

---------------------------------------------------------------------------------------
-- Scripts and their Lua states
--
-- A script is loaded once and then stays in memory, in one Lua state or in several that
-- know nothing of each other, so that it can serve several requests at once.
---------------------------------------------------------------------------------------

-- States made when a script is first asked for, 1 to 1024.
LuaStates = 1

-- States kept of one script, 1 to 65536; at least LuaStates <clones>. More than
-- WorkerThreads is of no use.
LuaMaxStates = 6

-- States kept of all scripts together, 1 to 1000000; at least WorkerThreads <states>.
-- When there would be more, those of scripts that are seldom asked for are closed.
LuaTotalStates = 256

-- When all states of a script are busy and no more may be kept: how often to wait a
-- little for one, 0 to 1000, before an extra one is made and closed again <retries>.
LuaMaxSearchRetries = 3

-- Renew a state after so many requests, 0 to 2147483647; 0 means never <maxcount>. Helps
-- with a script or a library that keeps growing.
LuaMaxRequests = 0

-- Renew a state in which so many requests in a row have failed, 0 to 2147483647; 0 means
-- never. A connection to a database that broke while it was kept in a global heals so.
LuaMaxErrors = 3

-- How often files are checked for changes, 1 to 3600000 ms <sweep>. An edited script, or
-- a module that it uses, is loaded again without a restart.
MinFileInfoTime = 1000

-- true: a file that was touched but holds what it held is not loaded again.
UseFileChecksum = true

-- A Lua file that is run in every new state before the script, for what all scripts
-- share; "" for none. It must exist.
StartupScript = ""

-- The name of the function that is called for each request <handler>. As long as the
-- option is not set at all, a script without main may have handler instead; that is why
-- this line is a comment.
-- Entrypoint = "main"

-- Endings of files that may be run. {} lets every file be run as Lua, and so whatever
-- visitors can upload: keep the list short.
AllowedExtensions = {".lua"}

-- A directory that scripts may not be outside of, links followed at each use; "" for none.
-- With the web server's document root here, a mistake in its configuration runs nothing
-- else.
ScriptRoot = ""

---------------------------------------------------------------------------------------
-- Limits
--
-- Times are in seconds, and 0.5 is half of one; sizes are in bytes. 0 switches a limit
-- off.
---------------------------------------------------------------------------------------

-- How long a script may take to load and to answer, 0 to 86400 seconds. The visitor then
-- gets "504 Gateway Timeout", and the log says where the script was.
RequestTimeout = 30

-- Memory that one state may use, 0 to 1099511627776 bytes. The body of a response counts
-- until it is sent.
ScriptMemoryLimit = 64 * 1024 * 1024

-- The largest request body (a form, an upload), 0 to 1099511627776 bytes <maxpost>. The
-- web server has a limit of its own: client_max_body_size in nginx.
MaxPostSize = 1048576

-- How many fields a form or a query may have, 0 to 1000000. One with more makes a "400
-- Bad Request".
MaxFormFields = 1000

-- How long an idle connection is kept open for the web server's next request, 0 to 86400
-- seconds.
KeepAliveTimeout = 60

-- How long to wait for the rest of a request that has begun, 0 to 86400 seconds.
ReadTimeout = 10

-- How long to wait for a web server that does not take the response, 0 to 86400 seconds.
-- With a slow visitor behind it a web server may well pause for a minute.
WriteTimeout = 120

-- How long a worker may be stuck past RequestTimeout, 0 to 86400 seconds, before another
-- takes its place <watchdog>. That happens in C libraries, which cannot be interrupted. The
-- finalizers (__gc) of a script that is closed may take as long, and a second.
Watchdog = 60

---------------------------------------------------------------------------------------
-- Responses
---------------------------------------------------------------------------------------

-- Header lines of every response <headers>, each ended by \r\n. "" for none.
DefaultHeaders = "X-Powered-By: luafcgid2\r\n"

-- Status and type of a response whose script sets none <httpstatus>, <contenttype>.
DefaultHttpStatus = "200 OK"
DefaultContentType = "text/html"

-- true collects the response until the script is done or calls Flush(); false sends every
-- piece at once, which is slower <buffering>.
Buffering = true

-- First sizes of the buffers of a response: that of the headers, 0 to 1048576 bytes
-- <headersize>, and that of the body, in parts of BodySize, 0 to 1048576 bytes
-- <bodysize>, of which there are BodySectors, 0 to 1024. They grow by themselves.
HeadersSize = 128
BodySize = 2048
BodySectors = 4

-- Whether error pages show the message and where it came from <showerrors>. Handy while
-- you write scripts; leave it off where strangers look. The log has it in any case.
ShowErrors = false

---------------------------------------------------------------------------------------
-- The log
---------------------------------------------------------------------------------------

-- The log file <logfile>. "", or a file that cannot be written, means standard error,
-- which systemd keeps in its journal.
LogFilePath = "/var/log/luafcgid2/luafcgid2.log"

-- The least important lines that are written: "error", "warning", "info" or "debug".
LogLevel = "info"

---------------------------------------------------------------------------------------
-- Sessions: what scripts remember of a visitor
---------------------------------------------------------------------------------------

-- The name of the cookie. A name that begins with "__Host-" binds it to this very host,
-- and to https.
SessionName = "XLuaSession"

-- A session ends so many seconds after its last use, and so many after its start, however
-- much it is used; each 0 to 315360000, 0 means never. While SessionMaxAge is not set, a
-- longer SessionTime switches it off.
SessionTime = 3600
-- SessionMaxAge = 86400

-- The length of a session's key, 22 to 128 characters. 22 are the least that cannot be
-- guessed, and less becomes 22: each is one of 62, which is 5.95 bits, 22 x 5.95 = 130.9.
SessionKeyLen = 24

-- The cookie travels over https only: true, false, or "auto", which means when the
-- request came over https.
SessionCookieSecure = "auto"

-- true hides the cookie from JavaScript in the browser.
SessionCookieHttpOnly = true

-- Whether the cookie comes along when a visitor arrives from another site: "Strict"
-- never, "Lax" by links only, "None" always (needs SessionCookieSecure = true); "" leaves
-- it to the browser.
SessionCookieSameSite = "Lax"

-- Share the cookie with every host below this domain, such as "example.org"; "" keeps it
-- to the one host.
SessionCookieDomain = ""

-- true gives the cookie the session's time, so that both outlive the browser's window;
-- false leaves the cookie to the browser, which drops it when it is closed.
SessionCookiePersistent = true

-- A session is found by its cookie and by who brings it: what is the same as before
-- scores, and the sum must reach SessionTargetScore, or the cookie counts for nothing.
-- 0 or less switches that off. Each -1000 to 1000.
SessionTargetScore = 3
SessionIpScore = 3
SessionUserAgentScore = 2
SessionLanguageScore = 1

-- How many sessions are kept, 1 to 10000000; the one that has been idle longest makes
-- room.
SessionMaxCount = 10000

-- How much one session may hold, 0 to 1099511627776 bytes; 0 means no limit.
SessionMaxSize = 65536

-- A file that keeps the sessions over a restart; "" for none.
SessionFile = ""

---------------------------------------------------------------------------------------
-- Your own values
--
-- Every script gets a copy of this table as the global Config: numbers, strings, true and
-- false, and tables of these. LocalConfig is the part named like the server that was
-- asked for. For example:
--
--     Config = {
--         title = "My site",
--         ["example.org"] = { database = "/srv/example.db" },
--     }
---------------------------------------------------------------------------------------
Config = {}
