-- The configuration of luafcgid2, with every option at its default.
--
-- This is a Lua file: "--" begins a comment, text is in quotes, and values may be
-- computed (64 * 1024 * 1024). Change what you need and leave out the rest: an option
-- that is not set has the value shown here. Check the file before you use it:
--
--     luafcgid2 -t -c /etc/luafcgid2/config.lua
--
-- The daemon reads it at the start, and again on SIGHUP (systemctl reload luafcgid2).
-- Options marked [restart] change only when the daemon is restarted. If a reloaded file
-- has a mistake, the daemon reports it in the log and keeps the old configuration.
--
-- Names in <angle brackets> are the older names of luafcgid; they work as well.
-- luafcgid2-config(5) says more about each option: man luafcgid2-config

---------------------------------------------------------------------------------------
-- Listening and running
---------------------------------------------------------------------------------------

-- Where the web server finds the daemon [restart] <listen>. One of
--     "/run/luafcgid2/luafcgid2.sock"   a unix socket: fastest, and private
--     ":9000"                           TCP, this machine only
--     "192.168.1.5:9000", "[::1]:9000"  TCP on one address
--     "*:9000"                          TCP on every address. A client that can connect
--                                       may run any script, so use a firewall
--     "fd:0"                            a socket that is already open (spawn-fcgi)
-- Tell nginx the same: fastcgi_pass unix:/var/tmp/luafcgid2.sock;
Listen = "/var/tmp/luafcgid2.sock"

-- How many requests compute at once, 1 to 1024 [restart] <workers>: about one for each
-- processor core. 4 is right for a Raspberry Pi.
WorkerThreads = 4

-- How many workers there may be while scripts wait (for a database, a program, a slow
-- visitor), 1 to 1024; at least WorkerThreads. A worker that waits delays nobody: when a
-- request has waited for 20 ms because all are busy, and fewer than WorkerThreads are
-- computing, another one starts. Those that had nothing to do for 10 s leave.
WorkerThreadsMax = 64

-- How many new connections the system queues while all workers are busy, -1 to 65535;
-- -1 means the default [restart] <backlog>.
Backlog = 511

-- How many connections from web servers may be open, 1 to 1000000 [restart]. When one
-- more comes, the one that was idle longest is closed.
MaxConnections = 2048

-- How many requests may wait at once in Sleep, Wait and the like, 0 to 40000, each of
-- which needs a Lua state, but no worker. One more gets "503 Service Unavailable". Each
-- also has a connection, so MaxConnections should be larger.
MaxWaiting = 1000

-- The largest request head, 1024 to 1048576 bytes [restart]. The head is all parameters
-- together: address, headers, cookies and others.
MaxHeadSize = 65536

-- Who may connect to the unix socket: permissions as for chmod, in quotes, and owner and
-- group by name or number [restart]. "" does not change owner or group. The user that
-- nginx runs as (www-data on Debian) must be able to write to the socket.
ListenMode = "0660"
ListenOwner = ""
ListenGroup = ""

-- The user and group that a daemon started as root becomes once the socket is open
-- [restart]. User "" does not change the user; Group "" means the group of the user.
-- Scripts can do what this user can do.
User = ""
Group = ""

-- A file for the process id, locked while the daemon runs; "" for no file [restart].
-- Init scripts need it, systemd does not.
PidFile = ""

-- true: the daemon goes to the background [restart] <daemonize>. Not under systemd.
Daemonize = false

---------------------------------------------------------------------------------------
-- Scripts and their Lua states
--
-- A script is loaded once and then stays in memory, in one Lua state or in several, so
-- that it can serve several requests at once. States share no variables.
---------------------------------------------------------------------------------------

-- How many states are made on the first request for a script, 1 to 1024.
LuaStates = 1

-- How many states of one script are kept, 1 to 65536; at least LuaStates <clones>. A
-- number above WorkerThreadsMax has no use.
LuaMaxStates = 6

-- How many states of all scripts together are kept, 1 to 1000000; at least WorkerThreads
-- <states>. When there would be more, states of rarely requested scripts are closed.
LuaTotalStates = 256

-- How many times a request waits briefly for a state, 0 to 1000, when all states of its
-- script are busy and no more may be kept <retries>. After that the daemon makes an extra
-- state for the request.
LuaMaxSearchRetries = 3

-- Replace a state after this many requests, 0 to 2147483647; 0 means never <maxcount>.
-- This helps if a script or a library uses more and more memory.
LuaMaxRequests = 0

-- Replace a state after this many failed requests in a row, 0 to 2147483647; 0 means
-- never. A broken database connection in a global is then replaced, too.
LuaMaxErrors = 3

-- How often files are checked for changes, 1 to 3600000 ms <sweep>. When a script or a
-- module that it uses was edited, the script is loaded again without a restart.
MinFileInfoTime = 1000

-- true: a file that was touched, but has the same content, is not loaded again.
UseFileChecksum = true

-- A Lua file that is run in every new state before the script, for code that all scripts
-- use; "" for no file. It must exist.
StartupScript = ""

-- The name of the function that is called for each request <handler>. If the option is
-- not set, a script without main may have handler instead; this is why the line is a
-- comment.
-- Entrypoint = "main"

-- Names of global functions of the script, or of the StartupScript: one is called when
-- the script has been loaded into a state, the other before the state is closed. They are
-- the place to open and to close a database. "" is none; nor does a script need to have
-- them.
OnStateStart = ""
OnStateStop = ""

-- Functions of this file, for what a site needs done beside its pages. They run in a
-- thread of their own, which nothing waits for, with Log, Publish, Shared, os and io.
-- OnStart is called at the start and after a reload, OnHeartbeat every MinFileInfoTime,
-- OnStop at the end and before a reload:
-- function OnHeartbeat() Publish("clock", os.date()) end
OnStart = nil
OnHeartbeat = nil
OnStop = nil

-- Endings of files that may be run. With {} every file may be run as Lua, also files that
-- visitors have uploaded.
AllowedExtensions = {".lua"}

-- true: load, loadstring, loadfile, dofile and require take bytecode, that of string.dump
-- and luac, for frameworks that need it. Nothing can check bytecode: what was made or
-- changed by somebody else can end the daemon, or read and write all of its memory.
-- Scripts themselves, StartupScript and this file are always source.
AllowBytecode = false

-- Only scripts inside this directory are run; "" for no limit. Links are followed at each
-- use. Set it to the web server's document root: then a mistake in the web server's
-- configuration cannot run any other file.
ScriptRoot = ""

-- Where scripts keep databases and other data that no visitor may fetch. They have it as
-- Info.DataDir. The installation makes it, for the user that the daemon runs as.
DataDir = "/var/lib/luafcgid2"

---------------------------------------------------------------------------------------
-- Limits
--
-- Times are in seconds and may be fractions (0.5); sizes are in bytes. 0 turns a limit
-- off.
---------------------------------------------------------------------------------------

-- How long a script may take to load and to answer, 0 to 86400 seconds. After that the
-- visitor gets "504 Gateway Timeout", and the log says where the script was.
RequestTimeout = 30

-- The most that a script may ask for with TimeLimit, 0 to 86400 seconds.
RequestTimeoutMax = 600

-- The memory that one state may use, 0 to 1099511627776 bytes. It includes the body of a
-- response until it is sent.
ScriptMemoryLimit = 64 * 1024 * 1024

-- The largest request body (a form, a JSON text), 0 to 1099511627776 bytes <maxpost>. The
-- web server has its own limit: client_max_body_size in nginx.
MaxPostSize = 1048576

-- The largest body of a form with files (multipart/form-data), 0 to 1099511627776 bytes,
-- if the script reads it with lf.files, lf.form or lf.field. The files go to the disk as
-- they come; the fields beside them may have MaxPostSize bytes. The web server's limit
-- must allow as much.
MaxUploadSize = 64 * 1024 * 1024

-- The directory that uploaded files are in until their request ends. A script can keep
-- one without a copy in a directory of the same file system.
UploadDir = "/var/tmp"

-- How many fields and files a form or a query may have, 0 to 1000000. A request with more
-- gets "400 Bad Request".
MaxFormFields = 1000

-- How much all values in Shared may hold together, 0 to 1099511627776 bytes; 0 means no
-- limit. When it is more, those go first that were not used for longest.
SharedMaxSize = 33554432

-- How much may wait for a script that has subscribed to a channel and is slow to ask for
-- the next message, 0 to 1099511627776 bytes; 0 means no limit. When it is more the
-- oldest messages are dropped.
SubscriptionMaxSize = 1048576

-- How long an idle connection is kept open for the web server's next request, 0 to 86400
-- seconds.
KeepAliveTimeout = 60

-- How long to wait for the rest of a request that has begun, 0 to 86400 seconds.
ReadTimeout = 10

-- How long to wait while the web server reads nothing of the response, 0 to 86400
-- seconds. A web server with a slow visitor may well pause for a minute.
WriteTimeout = 120

-- How often a stream of server-sent events sends a comment while its script waits, 0 to
-- 86400 seconds. It keeps the connection alive, and shows that a visitor has gone where
-- the web server tells only whoever sends.
EventKeepAlive = 15

-- The memory that finished responses may use together while slow web servers and visitors
-- have not read them yet, 0 to 1099511627776 bytes. Beyond that the worker of the next
-- one waits until it is read.
MaxPendingOutput = 64 * 1024 * 1024

-- How long a worker may hang after RequestTimeout, 0 to 86400 seconds, before the daemon
-- starts another in its place <watchdog>. A worker can hang in a C library, which the
-- daemon cannot interrupt. When a script is closed, its finalizers (__gc) may take one
-- second more than this.
Watchdog = 60

---------------------------------------------------------------------------------------
-- Responses
---------------------------------------------------------------------------------------

-- Header lines of every response <headers>, each ended by \r\n; "" for no lines.
DefaultHeaders = "X-Powered-By: luafcgid2\r\n"

-- Status and type of a response, if the script sets no other <httpstatus>, <contenttype>.
DefaultHttpStatus = "200 OK"
DefaultContentType = "text/html"

-- true collects the response until the script ends or calls Flush(); false sends every
-- piece at once, which is slower <buffering>.
Buffering = true

-- The header by which SendFile hands a file on to the web server; "" sends it from here.
-- "X-Sendfile" for Apache's mod_xsendfile and lighttpd. For nginx directories and the
-- internal locations that stand for them: "X-Accel-Redirect: /srv/files=/files, ...".
SendFileHeader = ""

-- The sizes that the buffers of a response start with; they grow as needed. The buffer
-- for headers: HeadersSize, 0 to 1048576 bytes <headersize>. The buffer for the body:
-- BodySectors parts, 0 to 1024, of BodySize, 0 to 1048576 bytes <bodysize>.
HeadersSize = 128
BodySize = 2048
BodySectors = 4

-- true: error pages show the message and where it came from <showerrors>. Use it while
-- you write scripts, and leave it false on a public site. The log always has both.
ShowErrors = false

-- Pages of your own for errors, by status: ErrorPage[404] = "/var/www/errors/404.html".
-- A file is sent as it is. A script (.lua) is run, finds the error in Info.Error, and
-- answers. The status stays. Where a page is missing or fails, the built-in one takes its
-- place. While ShowErrors is true, errors of scripts get the page that shows them.
ErrorPage = {}

---------------------------------------------------------------------------------------
-- The log
---------------------------------------------------------------------------------------

-- The log file <logfile>. If it is "" or cannot be written, the log goes to standard
-- error, which systemd keeps in its journal. "syslog:daemon" is the system's log, in the
-- facility daemon; user and local0 to local7 are others.
LogFilePath = "/var/log/luafcgid2/luafcgid2.log"

-- The log has lines of this level and of the more important ones: "error", "warning",
-- "info" or "debug".
LogLevel = "info"

-- "text" or "json". With "json" each line of the log is one object, and a traceback is a
-- field of it.
LogFormat = "text"

-- true: the message of a script's error, without the traceback, goes to the web server as
-- well, which writes it into its own error log.
LogToWebServer = false

-- A file that gets a line for each request; "" for none. It cannot be "syslog:...".
AccessLogPath = ""

-- What such a line says: directives of Apache's access log, which luafcgid2(8) lists, or
-- "common", "combined", or "timed", which is combined with time and request id.
AccessLogFormat = "timed"

-- A script that runs for longer than SlowLogTime seconds is logged, once a request, with
-- where it is just then. 0 switches this off; 0 to 86400. Waiting does not count.
SlowLogTime = 0

-- The file for that; "" is the log. It cannot be "syslog:...".
SlowLogPath = ""

----------------------------------------------------------------------------------------
-- Status: what the daemon is doing, for people and programs
----------------------------------------------------------------------------------------

-- Requests for this path get the status: as text, or as the query says, ?json,
-- ?openmetrics (for Prometheus) or ?html (a page), each with &full for every worker and
-- script. The text and JSON have php-fpm's keys. Let the web server answer it for your
-- own addresses only.
StatusPath = ""

-- The same on a socket of its own, which answers while every worker is busy or stuck. It
-- takes what Listen takes. [restart]
StatusListen = ""

-- Requests for this path get PingResponse, without a script: whether the daemon answers.
PingPath = ""
PingResponse = "pong"

---------------------------------------------------------------------------------------
-- Sessions: what scripts remember about a visitor
---------------------------------------------------------------------------------------

-- The name of the cookie. With a name that begins with "__Host-", browsers send the
-- cookie to this host only, and over https only.
SessionName = "XLuaSession"

-- A session ends SessionTime seconds after its last use, and SessionMaxAge seconds after
-- its start, even if it is used; each 0 to 315360000, 0 means never. If SessionMaxAge is
-- not set and SessionTime is longer, or 0, there is no limit from the start.
SessionTime = 3600
-- SessionMaxAge = 86400

-- The length of a session's key, 22 to 128 characters. A key needs 128 bits so that
-- nobody can guess it; a character is one of 62, which is 5.95 bits, and 22 are 130.9
-- bits. A length below 22 becomes 22.
SessionKeyLen = 24

-- Whether the browser sends the cookie over https only: true, false, or "auto", which
-- means true if the request that got the cookie came over https.
SessionCookieSecure = "auto"

-- true: JavaScript in the browser cannot read the cookie.
SessionCookieHttpOnly = true

-- Whether the browser sends the cookie when the visitor comes from another site: "Strict"
-- never, "Lax" for links only, "None" always (needs SessionCookieSecure = true); with ""
-- the browser decides.
SessionCookieSameSite = "Lax"

-- The browser sends the cookie to every host below this domain, such as "example.org"; ""
-- means only to the host that set it.
SessionCookieDomain = ""

-- true: the cookie lasts as long as the session, also when the browser is closed; false:
-- the browser drops the cookie when it is closed.
SessionCookiePersistent = true

-- A client gets a session only if it looks like the one that used it before. The same
-- address, browser and language score, and the sum must reach SessionTargetScore. With a
-- target of 0 or less the cookie is enough. Each -1000 to 1000.
SessionTargetScore = 3
SessionIpScore = 3
SessionUserAgentScore = 2
SessionLanguageScore = 1

-- How many sessions are kept, 1 to 10000000. When one more is started, the one that was
-- idle longest ends.
SessionMaxCount = 10000

-- How much one session may hold, 0 to 1099511627776 bytes; 0 means no limit.
SessionMaxSize = 65536

-- A file that keeps the sessions over a restart; "" for no file.
SessionFile = ""

---------------------------------------------------------------------------------------
-- Your own values
--
-- Every script gets a copy of this table as the global Config. It may hold numbers,
-- strings, true, false, and tables of these. LocalConfig is the part whose name is the
-- name of the requested server. For example:
--
--     Config = {
--         title = "My site",
--         ["example.org"] = { database = "/srv/example.db" },
--     }
---------------------------------------------------------------------------------------
Config = {}
