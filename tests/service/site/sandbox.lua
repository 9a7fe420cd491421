-- What scripts can and can't do under the unit: one "name: result" a line.

local function result(ok, problem)
    return ok and "yes" or "no, " .. tostring(problem)
end

local function writes(path)
    local file, problem = io.open(path, "a")
    if file then
        file:close()
    end
    return result(file, problem)
end

local function reads(path)
    local file, problem = io.open(path)
    if not file then
        return result(nil, problem)
    end
    local text = file:read("a")
    file:close()
    return result(text and #text > 0, "empty")
end

local function connects(host, port)
    local socket = require("socket")
    local connection, problem = socket.connect(host, port)
    if connection then
        connection:close()
    end
    return result(connection, problem)
end

local function stores(path)
    local environment = require("luasql.sqlite3").sqlite3()
    local database = assert(environment:connect(path))
    assert(database:execute("create table if not exists t (n integer)"))
    assert(database:execute("insert into t values (7)"))
    local cursor = assert(database:execute("select max(n) from t"))
    local n = cursor:fetch()
    cursor:close()
    database:close()
    environment:close()
    return result(tonumber(n) == 7, n)
end

local function output(command)
    local pipe = assert(io.popen(command))
    local text = pipe:read("a")
    pipe:close()
    return (text:gsub("%s+$", ""):gsub("\n", " "))
end

function main()
    RespContentType("text/plain")
    for _, line in ipairs({
        { "state directory", writes("/var/lib/luafcgid2/test") },
        { "log directory", writes("/var/log/luafcgid2/test.txt") },
        { "/var/tmp", writes("/var/tmp/luafcgid2-test") },
        { "/tmp", writes("/tmp/luafcgid2-test") },
        { "/etc", writes("/etc/luafcgid2-test") },
        { "its own directory", writes("luafcgid2-test") },
        { "home", writes("/home/pi/luafcgid2-test") },
        { "reads home", reads("/home/pi/page.txt") },
        { "relative path", reads("hello.lua") },
        { "load average", reads("/proc/loadavg") },
        { "network", connects("127.0.0.1", 80) },
        { "name", connects("localhost", 80) },
        { "ipv6", connects("::1", 80) },
        { "database", stores("/var/lib/luafcgid2/test.sqlite") },
        { "child", output("id -un") },
        { "privileges", output("grep -E 'NoNewPrivs|CapEff' /proc/self/status") },
        { "processes", output("ls -d /proc/1 2>&1 || true") },
        { "environment", output("env | cut -d= -f1 | sort") },
        { "notify", tostring(os.getenv("NOTIFY_SOCKET")) },
    }) do
        Send(line[1], ": ", line[2], "\n")
    end
end
