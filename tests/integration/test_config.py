"""The configuration file and the command line."""

import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import time

import pytest

import servers
from servers import BINARY, lua, read, wait_until

BOOLEAN = ["yes", 1, 0, {}]
TEXT = [5, True, {}]
NUMBER = ["four", "4", True, {}, -2, 1.5]
OLD_NUMBER = ["four", True, {}, -2, [4]]  # of these options others are bent, see BENT

# name, other names, default as -h shows it, values refused, values accepted
OPTIONS = [
    ("Listen", ["listen"], "/var/tmp/luafcgid2.sock", TEXT + ["9000", "[::1]", "host:http"],
     ["/tmp/x.sock", "127.0.0.1:9000", "localhost:9000", "[::1]:9000", ":9000", "*:9000"]),
    ("WorkerThreads", ["workers"], "4", OLD_NUMBER + [1025], [1, 1024]),
    ("MaxWaiting", [], "1000", NUMBER + [-1, 40001], [0, 40000]),
    ("WorkerThreadsMax", [], "64", NUMBER + [0, 1025], [4, 1024]),
    ("LuaStates", [], "1", OLD_NUMBER, [2]),
    ("LuaMaxStates", ["clones"], "6", OLD_NUMBER, [1, 100]),
    ("LuaTotalStates", ["states"], "256", OLD_NUMBER, [4, 10000]),
    ("LuaMaxSearchRetries", ["retries"], "3", OLD_NUMBER, [0, 10]),
    ("LuaMaxRequests", ["maxcount"], "0", OLD_NUMBER, [0, 1000000]),
    ("HeadersSize", ["headersize"], "128", OLD_NUMBER, [1, 4096]),
    ("BodySize", ["bodysize"], "2048", OLD_NUMBER, [1, 65536]),
    ("BodySectors", ["bodysectors"], "4", OLD_NUMBER, [1, 64]),
    ("MinFileInfoTime", ["sweep"], "1000", OLD_NUMBER, [50]),
    ("UseFileChecksum", [], "true", BOOLEAN, [True, False]),
    ("DefaultHeaders", ["headers"], "X-Powered-By: luafcgid2", TEXT + ["no header line\r\n"],
     ["", "X-A: 1\r\n", "X-A: 1\r\nX-B: 2\r\n"]),
    ("DefaultHttpStatus", ["httpstatus"], "200 OK", TEXT + ["200 OK\r\nX: y"],
     ["200 OK", "404 Not Found"]),
    ("DefaultContentType", ["contenttype"], "text/html", TEXT + ["text/html\r\nX: y"],
     ["text/plain; charset=utf-8"]),
    ("Buffering", ["buffering"], "true", BOOLEAN, [True, False]),
    ("MaxPostSize", ["maxpost"], "1048576", OLD_NUMBER, [0, 5 << 30]),
    ("ShowErrors", ["showerrors"], "false", BOOLEAN, [True, False]),
    ("LogFilePath", ["logfile"], "/var/log/luafcgid2/luafcgid2.log", TEXT, ["", "/tmp/log"]),
    ("StartupScript", [], '""', TEXT, ["", "/etc/passwd"]),
    ("AllowBytecode", [], "false", BOOLEAN, [True, False]),
    ("Entrypoint", ["entrypoint", "handler"], "main", TEXT, ["serve"]),
    ("Backlog", ["backlog"], "511", OLD_NUMBER, [-1, 1, 4096]),
    ("Daemonize", ["daemonize"], "false", BOOLEAN, [True, False]),
    ("Watchdog", ["watchdog"], "60", ["x", True, -1], [0, 5]),
    ("SessionName", [], "XLuaSession", TEXT + ["", "no cookie name"], ["sid"]),
    ("SessionTime", [], "3600", ["x", True, -1], [1, 86400]),
    ("SessionKeyLen", [], "24", OLD_NUMBER + [0, 1000], [24, 64]),
    ("SessionCookieSecure", [], '"auto"', [1, "sometimes", {}], [True, False, "auto"]),
    ("SessionCookieHttpOnly", [], "true", BOOLEAN, [True, False]),
    ("SessionCookieSameSite", [], "Lax", [1, True, "sometimes"], ["Lax", "Strict"]),
    ("SessionTargetScore", [], "3", ["three", True, {}, 1001], [-1, 0, 6]),
    ("SessionIpScore", [], "3", ["three", True, {}, 1001], [0, 5]),
    ("SessionUserAgentScore", [], "2", ["three", True, {}, 1001], [0, 5]),
    ("SessionLanguageScore", [], "1", ["three", True, {}, 1001], [0, 5]),
    ("Config", [], "{}", [5, "x", True], [{}, {"a": {"b": [1, 2.5, True, "x"]}}]),
    ("AllowedExtensions", [], '{".lua"}', [".lua", 5, True, {"a": 1}, [5]],
     [[".lua"], [".lua", ".lp"], []]),
    ("EventKeepAlive", [], "15", ["x", True, -1], [0, 5]),
    ("RequestTimeoutMax", [], "600", ["x", True, -1], [0, 5]),
    ("SharedMaxSize", [], "33554432", NUMBER, [0, 1000]),
    ("SubscriptionMaxSize", [], "1048576", NUMBER, [0, 1000]),
    ("RequestTimeout", [], "30", ["x", True, -1], [0, 5]),
    ("ScriptMemoryLimit", [], "64 * 1024 * 1024", NUMBER, [0, 1 << 20]),
    ("KeepAliveTimeout", [], "60", ["x", True, -1], [0, 5]),
    ("ReadTimeout", [], "10", ["x", True, -1], [0, 5]),
    ("WriteTimeout", [], "120", ["x", True, -1], [0, 5]),
    ("MaxPendingOutput", [], "64 * 1024 * 1024", NUMBER, [0, 1 << 20]),
    ("ListenMode", [], '"0660"', [True, {}, "rw", "9999"], ["0600", "0666"]),
    ("ListenOwner", [], '""', [True, {}, "no such user"], ["", "root"]),
    ("ListenGroup", [], '""', [True, {}, "no such group"], ["", "root"]),
    ("User", [], '""', [True, {}, "no such user"], ["", "nobody"]),
    ("Group", [], '""', [True, {}, "no such group"], ["", "nogroup"]),
    ("PidFile", [], '""', TEXT, ["", "/tmp/x.pid"]),
]
NAMES = [(name, alias) for name, others, _, _, _ in OPTIONS for alias in [name] + others]


def run(*arguments, cwd="/", prefix=()):
    """The binary, to its end."""
    return subprocess.run([*prefix, BINARY, *arguments], cwd=cwd, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=servers.PATIENCE, check=False)


def put(directory, text, name="config.lua"):
    with open(os.path.join(directory, name), "w", encoding="utf-8") as f:
        f.write(text)


@pytest.fixture
def check(scratch):
    """Writes a config.lua and runs -t on it; returns the status and all that was said."""
    directory = scratch()

    def call(text):
        put(directory, text)
        done = run("-t", "-c", "config.lua", cwd=directory)
        assert os.listdir(directory) == ["config.lua"]  # looking leaves no trace
        return done.returncode, done.stdout + done.stderr
    return call


# -- names and values --

@pytest.mark.parametrize("name, alias", NAMES, ids=lambda n: n)
def test_wrong_value_is_refused_and_named(check, name, alias):
    bad = next(row[3] for row in OPTIONS if row[0] == name)
    for value in bad:
        status, said = check("%s = %s" % (alias, lua(value)))
        assert status == 1, (value, said)
        assert re.search(r"(?m)^config\.lua: (%s|%s)(\[\d\])?: expected .*, got " %
                         (alias, name), said), (value, said)


@pytest.mark.parametrize("name, alias", NAMES, ids=lambda n: n)
def test_right_value_is_accepted(check, name, alias):
    good = next(row[4] for row in OPTIONS if row[0] == name)
    for value in good:
        status, said = check("%s = %s" % (alias, lua(value)))
        assert status == 0, (value, said)
        assert "ignored" not in said and "did you mean" not in said


@pytest.mark.parametrize("name, aliases, default", [row[:3] for row in OPTIONS],
                         ids=[row[0] for row in OPTIONS])
def test_help_shows_names_and_default(name, aliases, default):
    text = run("-h").stdout
    row, = re.findall(r"(?m)^[ *]*%s\b.*$" % name, text)
    assert default in row
    assert [alias for alias in aliases if alias.lower() != name.lower() and alias not in row] == []


def rows_of_help():
    """(name, what it may be) of every option, from the daemon's own table."""
    return re.findall(r"(?m)^[ *] ([A-Z]\w+) .* \((.*)\)$", run("-h").stdout)


def test_every_option_refuses_values_of_another_type_and_takes_its_bounds(check):
    """Whatever option is added: a row of this test comes with it."""
    rows = rows_of_help()
    assert len(rows) > 50
    bad, good = [], []
    for name, values in rows:
        numbers = re.match(r"(-?\d+) to (\d+)", values)
        bad.append((name, "io.stdout"))
        if numbers:
            bad.append((name, "'four'"))
            good += [(name, bound) for bound in numbers.groups()]
        elif values == "true or false":
            bad += [(name, "'true'"), (name, "1")]
            good += [(name, "true"), (name, "false")]
        elif values == "string":
            bad += [(name, "5") for _ in [0] if name != "DefaultHttpStatus"]
    status, said = check("\n".join("%s = %s" % row for row in reversed(bad)))
    assert status == 1 and {line.split(": ")[1] for line in said.splitlines() if "expected" in line
                            } == {name for name, _ in rows}
    for row in bad:
        status, said = check("%s = %s" % row)
        assert status == 1 and "config.lua: %s: expected " % row[0] in said, (row, said)
    for name, value in good:
        more = " LuaTotalStates = 1000000" if name == "WorkerThreads" else ""
        status, said = check("%s = %s%s" % (name, value, more))
        assert status == 0 and "is used" not in said, (name, value, said)


def test_help_shows_every_name_of_the_contract():
    names = re.findall(r"(?m)^[ *] (\w+) .*\)$", run("-h").stdout)
    assert not {row[0] for row in OPTIONS} - set(names)


@pytest.mark.parametrize("text, message", [
    ('WorkerThreads = "four"', 'expected an integer from 1 to 1024, got "four"'),
    ("WorkerThreads = 2000", "expected an integer from 1 to 1024, got 2000"),
    ("WorkerThreads = {}", "expected an integer from 1 to 1024, got a table"),
])
def test_message_of_a_wrong_value(check, text, message):
    status, said = check(text)
    assert status == 1 and "config.lua: WorkerThreads: " + message in said.splitlines()


# What luafcgid and the first luafcgid2 took and lived with: name, value as Lua, what is
# used instead.
BENT = [
    ("MinFileInfoTime", "0", "1"), ("sweep", "0", "1"), ("SessionKeyLen", "16", "22"),
    ("WorkerThreads", "0", "1"), ("workers", "'4'", "4"), ("LuaStates", "0", "1"),
    ("clones", "10 / 4", "2"), ("states", "'256'", "256"), ("httpstatus", "200", '"200 OK"'),
    ("DefaultHttpStatus", "404", '"404 Not Found"'), ("backlog", "100000", "65535"),
    ("bodysectors", "2.5", "2"), ("maxpost", "'1024'", "1024"), ("watchdog", "'30'", "30"),
]


@pytest.mark.parametrize("name, value, used", BENT)
def test_value_that_earlier_versions_lived_with_is_bent_with_a_warning(check, name, value, used):
    status, said = check("%s = %s" % (name, value))
    assert status == 0, said
    got = value.strip("'") if "/" not in value else "2.5"
    assert re.search(r"(?m)warning: config\.lua: %s: expected .*, got \"?%s\"?.*; %s is used$" %
                     (name, re.escape(got), re.escape(used)), said), said


def test_configuration_of_an_earlier_version_starts_and_serves(daemon):
    """Everything bent at once; the log tells of each."""
    d = daemon(config="""
        workers = "2" states = 10 clones = states / 4 sweep = 0 retries = "3" backlog = 100000
        bodysectors = 2 httpstatus = 202 SessionKeyLen = 16 maxpost = "1000" LuaStates = 5
        Config = {title = "x", helper = function() end}""", MinFileInfoTime=None)
    d.options.pop("MinFileInfoTime")
    response = d.run("function main() Session.Start() return Config.title, Config.helper end")
    assert (response.status, response.text) == (202, "x")
    assert re.search(r"XLuaSession=\w{22};", response.header("Set-Cookie"))
    for name in ("workers", "clones", "sweep", "retries", "backlog", "httpstatus",
                 "SessionKeyLen", "maxpost", "LuaStates", "Config.helper"):
        d.wait_log(r"config\.lua: %s: .*(is used|is left out)" % name, "warning")


def test_every_mistake_is_reported_at_once(check):
    status, said = check('WorkerThreads = -1 ShowErrors = 5 MaxPostSize = "big" Config = 3')
    assert status == 1
    for name in ("WorkerThreads", "ShowErrors", "MaxPostSize", "Config"):
        assert "config.lua: %s: expected" % name in said


def test_fewer_states_in_all_than_workers_are_refused(check):
    status, said = check("WorkerThreads = 8 LuaTotalStates = 7")
    assert status == 1 and "LuaTotalStates" in said and "WorkerThreads" in said


@pytest.mark.parametrize("value", ["print", "{a = {b = io.stdout}}",
                                   "(function() local t = {} t.t = t return t end)()"])
def test_config_table_of_what_cannot_be_copied_is_refused(check, value):
    status, said = check("Config = " + value)
    assert status == 1 and "Config" in said


def test_v2_name_wins_over_the_v1_name(daemon):
    config = "contenttype = 'text/v1' DefaultContentType = 'text/v2' handler = 'old' " \
             "Entrypoint = 'new' maxpost = 1 MaxPostSize = 1000"
    d = daemon(config=config, warns="is ignored, because")
    response = d.run("function new() Send('new') Receive() end function old() Send('old') end",
                     "POST", body=b"x" * 100)
    assert (response.text, response.header("Content-Type")) == ("new", "text/v2")


@pytest.mark.parametrize("name, meant", [
    ("WorkerThread", "WorkerThreads"), ("workerthreads", "WorkerThreads"),
    ("Worker_Threads", "WorkerThreads"), ("ShowError", "ShowErrors"), ("worker", "workers"),
    ("MaxPostsize", "MaxPostSize"), ("LogFile", "logfile"), ("lisen", "listen"),
])
def test_unknown_name_close_to_a_known_one_is_warned_about(check, name, meant):
    status, said = check(name + " = 4")
    assert status == 0
    assert re.search(r"\b%s\b.*did you mean %s" % (name, meant), said)


def test_unknown_name_is_warned_about_at_the_start_and_on_reload(daemon):
    d = daemon(config="WorkerThread = 4", warns="did you mean")
    assert d.main("return 'runs'").text == "runs"
    assert "WorkerThread is" in d.stderr() + d.log()
    d.reload()
    d.wait_log("WorkerThread is.*did you mean WorkerThreads", "warning")


def test_names_of_ones_own_are_not_warned_about(check):
    status, said = check("my_database = 'x' local helper = 1 function build() end base = '/srv'")
    assert status == 0 and "did you mean" not in said


# -- the file is a program --

def test_configuration_may_compute(daemon):
    d = daemon(config="""
        local base = 2 ^ 4
        for i = 1, 3 do base = base + 1 end
        Config = {sum = math.tointeger(base), home = os.getenv("HOME") ~= false,
                  list = {}}
        for i = 1, 5 do Config.list[i] = i * i end
        WorkerThreads = #Config.list
        function helper() return "x" end""")
    assert d.value("Config.sum .. Config.list[5]") == "1925"


def test_configuration_runs_in_a_state_of_its_own(daemon):
    d = daemon(config="secret = 'x' string.secret = 'y'")
    assert d.value("tostring(secret) .. tostring(string.secret)") == "nilnil"


@pytest.mark.parametrize("text, message", [
    ("x = = 1", r"config\.lua:1:"), ("\n\nerror('my own')", r"config\.lua:3: my own"),
    ("error({})", "table"), ("local t = nil; t.x = 1", r"config\.lua:1:"), ("\x1bLua", "config"),
])
def test_broken_file_is_reported(check, text, message):
    status, said = check(text)
    assert status == 1 and re.search(message, said)


# What no limit of Lua's own ends, and how it is told of.
ENDLESS = {
    "loop": ("while true do end", r":1: took longer than 10 seconds"),
    "caught": ("while true do pcall(function() while true do end end) end", "took longer than 10"),
    "coroutine": ("coroutine.wrap(function() while true do end end)()", "took longer than 10"),
    "command": ("os.execute('sleep 60')", "did not come to its end within 12 seconds"),
    "pipe": ("io.popen('sleep 60'):read('a')", "did not come to its end within 12 seconds"),
    "pattern": ("string.find(('a'):rep(40), ('a?'):rep(40) .. ('a'):rep(40))",
                r":1: took longer than 10 seconds"),
    "unhooked": ("pcall(function() debug.sethook() end) while true do end", "took longer than 10"),
}


def start_check(directory):
    """Not to a pipe, which a command of the file would keep open."""
    with open(os.path.join(directory, "said"), "w", encoding="ascii") as said:
        process = subprocess.Popen([BINARY, "-t", "-c", "config.lua"], cwd=directory,
                                   stdin=subprocess.DEVNULL, stdout=said, stderr=said,
                                   start_new_session=True)
    process.said = said.name
    return process


def test_configuration_without_an_end_is_refused_in_bounded_time(daemon, scratch):
    """All at once, as each takes its time. A daemon that is told to reload such a one goes
    on serving, and answers signals."""
    checks = {}
    began = time.monotonic()
    for name, (text, _) in ENDLESS.items():
        directory = scratch()
        put(directory, text)
        checks[name] = start_check(directory)
    directory = scratch()
    os.mkfifo(os.path.join(directory, "config.lua"))
    checks["FIFO without a writer"] = start_check(directory)
    said = {name: r"cannot be read: nothing came from it in time" for name in checks
            if name not in ENDLESS}
    said.update({name: message for name, (_, message) in ENDLESS.items()})
    d = daemon(WorkerThreads=1)
    page = d.script("n = 0 function main() n = n + 1 return n end")
    d.get(page)
    d.write_config(ENDLESS["loop"][0])
    d.signal(signal.SIGHUP)
    d.signal(signal.SIGUSR1)
    d.wait_log("log reopened")
    assert d.get(page).text == "2"
    try:
        for name, process in checks.items():
            status, text = process.wait(60), read(process.said)
            assert status == 1 and re.search("config.lua.*" + said[name], text), (name, text)
        assert 9 < time.monotonic() - began < 55
    finally:
        for process in checks.values():
            try:
                os.killpg(process.pid, signal.SIGKILL)  # `sleep`
            except ProcessLookupError:
                pass
    d.expect_error("took longer than 10 seconds")
    d.expect_error("the old one stays")
    assert d.get(page).text == "3"
    d.write_config("")
    d.signal(signal.SIGHUP)
    d.wait_log("configuration reloaded")


@pytest.mark.parametrize("text", ["while true do end", "os.execute('exec sleep 3')"],
                         ids=["loop", "command"])
@pytest.mark.alone
def test_end_is_not_held_up_by_a_reload(daemon, scratch, text):
    d = daemon()
    started = os.path.join(scratch(), "started")
    d.write_config("io.open(%s, 'w'):close() %s" % (lua(started), text))
    d.signal(signal.SIGHUP)
    wait_until(lambda: os.path.exists(started), "the reload to begin")
    began = time.monotonic()
    d.signal(signal.SIGTERM)
    assert d.wait() == 0
    assert time.monotonic() - began < (8 if servers.SANITIZER else 2.5)


@pytest.mark.parametrize("text", ["os.exit()", "os.exit(0, true)", "pcall(os.exit) os.exit(1)"])
def test_os_exit_in_a_configuration_is_a_mistake(check, daemon, text):
    status, said = check(text)
    assert status == 1 and "config.lua:1: os.exit would end the daemon" in said
    d = daemon()
    d.reload(text)
    d.expect_error("os.exit would end the daemon")
    d.expect_error("the old one stays")
    assert d.main("return 'serves'").text == "serves"


def test_configuration_may_come_through_a_pipe_once(scratch, site):
    directory = scratch()
    d = servers.Daemon(directory, site)
    reading, writing = os.pipe()
    with open(d.config_path, "rb") as f:
        os.write(writing, f.read())
    os.close(writing)
    d.start(arguments=["-c", "/dev/fd/%d" % reading], pass_fds=[reading])
    os.close(reading)
    try:
        assert d.main("return 'from the pipe'").text == "from the pipe"
        d.signal(signal.SIGHUP)
        d.expect_error("cannot be read: the pipe is empty; a reload cannot read it again")
        d.expect_error("the old one stays")
        assert d.main("return 'still'").text == "still"
    finally:
        d.stop()


def test_reloads_in_a_row_end_with_the_last_configuration(daemon):
    d = daemon(Config={"n": 0})
    page = d.script("function main() return Config.n end")
    for n in range(1, 20):
        d.write_config(Config={"n": n})
        d.signal(signal.SIGHUP)
    wait_until(lambda: d.get(page).text == "19", "the last configuration")


@pytest.mark.parametrize("text", ['WorkerThreads = "four"', "x = = 1"])
def test_bad_configuration_stops_the_start(scratch, text):
    directory = scratch()
    put(directory, "Listen = %s\nLogFilePath = ''\n%s" % (lua(directory + "/s"), text))
    done = run("-c", "config.lua", cwd=directory)
    assert done.returncode == 1 and "config.lua" in done.stderr
    assert os.listdir(directory) == ["config.lua"]


# -- the command line --

def test_version():
    done = run("-v")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.match(r"luafcgid2 2\.\d+", done.stdout)


def test_help():
    done = run("-h")
    assert (done.returncode, done.stderr) == (0, "")
    for option in (r"\[-t\]", r"\[-c FILE \| FILE\]", "-h", "-v"):
        assert re.search(r"(?m)^(usage:)? +luafcgid2 .*" + option, done.stdout)


@pytest.mark.parametrize("arguments", [["-x"], ["-c"], ["--no-such-option"], ["a", "b"],
                                       ["-c", "a", "b"]], ids=" ".join)
def test_wrong_command_line(arguments):
    done = run(*arguments)
    assert done.returncode != 0 and done.stdout == ""
    assert "luafcgid2" in done.stderr


@pytest.mark.parametrize("arguments", [["-t", "-c", "a.lua"], ["-t", "a.lua"],
                                       ["-c", "a.lua", "-t"]], ids=" ".join)
def test_file_is_named_in_either_way(scratch, arguments):
    directory = scratch()
    for name, text in [("a.lua", "WorkerThreads = 'from a'"), ("config.lua", "")]:
        put(directory, text, name)
    done = run(*arguments, cwd=directory)
    assert done.returncode == 1 and "from a" in done.stdout + done.stderr


def test_check_says_what_it_found(check):
    status, said = check("WorkerThreads = 3")
    assert status == 0 and "config.lua" in said


def test_missing_file(scratch):
    for arguments in (["-t", "-c", "nowhere.lua"], ["nowhere.lua"]):
        done = run(*arguments, cwd=scratch())
        assert done.returncode == 1 and "nowhere.lua" in done.stdout + done.stderr


def test_config_lua_of_the_working_directory_is_the_first_choice(scratch):
    directory = scratch()
    put(directory, "WorkerThreads = 'from here'")
    done = run("-t", cwd=directory)
    assert done.returncode == 1 and "from here" in done.stdout + done.stderr


def private_etc(text):
    """A command prefix under which /etc is an empty one, with this configuration in it."""
    prepare = "mount -t tmpfs none /etc"
    if text is not None:
        prepare += " && mkdir /etc/luafcgid2 && printf %%s '%s' >/etc/luafcgid2/config.lua" % text
    return ["unshare", "-m", "sh", "-c", prepare + ' && exec "$@"', "sh"]


def may_mount():
    return os.geteuid() == 0 and shutil.which("unshare") and subprocess.run(
        private_etc(None) + ["true"], stderr=subprocess.DEVNULL, check=False).returncode == 0


@pytest.mark.skipif(not may_mount(), reason="needs root and a mount namespace of its own")
@pytest.mark.parametrize("here, etc, status, message", [
    (None, "WorkerThreads = [[from etc]]", 1, "from etc"),
    ("WorkerThreads = [[from here]]", "WorkerThreads = [[from etc]]", 1, "from here"),
    ("", "WorkerThreads = [[from etc]]", 0, "config.lua"),
    (None, None, 0, "default"),
])
def test_where_the_configuration_is_looked_for(scratch, here, etc, status, message):
    directory = scratch()
    if here is not None:
        put(directory, here)
    done = run("-t", cwd=directory, prefix=private_etc(etc))
    assert done.returncode == status, done
    assert message in done.stdout + done.stderr


# -- options that show elsewhere than in responses --

def root_only(test):
    return pytest.mark.skipif(os.geteuid() != 0, reason="needs root")(test)


@pytest.mark.parametrize("name", ["Backlog", "backlog"])
@pytest.mark.parametrize("value, expected", [(5, 5), (-1, 511)])
def test_backlog(daemon, name, value, expected):
    """The kernel queues as many connections for a stopped daemon, and one more."""
    d = daemon(**{name: value})
    d.main("")  # what connected before this has been accepted
    d.signal(signal.SIGSTOP)
    wait_until(lambda: re.search(r"State:\s+T", read("/proc/%d/status" % d.pid)), "its stop")
    queued = []
    try:
        while len(queued) < 2000:
            s = socket.socket(socket.AF_UNIX)
            s.setblocking(False)
            queued.append(s)
            s.connect(d.address)
    except BlockingIOError:
        queued.pop().close()
    finally:
        d.signal(signal.SIGCONT)
    limit = int(read("/proc/sys/net/core/somaxconn"))
    assert len(queued) == min(expected, limit) + 1
    for s in queued:
        s.close()


@pytest.mark.parametrize("name", ["Daemonize", "daemonize"])
def test_daemonize_goes_to_the_background(scratch, site, name):
    directory = scratch()
    pid_file = os.path.join(directory, "pid")
    d = servers.Daemon(directory, site, PidFile=pid_file, **{name: True})
    done = subprocess.run([BINARY, "-c", d.config_path], cwd=directory, timeout=servers.PATIENCE,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, env=d.environment(), check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    pid = int(read(pid_file))
    try:
        wait_until(d.accepts_new, "the daemon to accept connections")
        assert d.main("return 'from the background'").text == "from the background"
        assert os.getsid(pid) != os.getsid(0) and os.getpgid(pid) != os.getpgid(0)
    finally:
        os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not os.path.exists("/proc/%d" % pid), "its end")
    assert not os.path.exists(d.address) and not read(pid_file)
    assert not [line for line in d.lines() if line.level == "error"]


@pytest.mark.not_under("address", "thread", reason="a library is loaded before the sanitizer's")
def test_daemonize_leaves_the_pid_of_the_daemon_before_the_starter_ends(scratch, site):
    """Slow disks and busy machines: the process in the background comes late to PidFile."""
    directory = scratch()
    pid_file = os.path.join(directory, "pid")
    d = servers.Daemon(directory, site, PidFile=pid_file, Daemonize=True)
    slow = os.path.join(directory, "slow.so")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", slow, "-xc", "-"], check=True, text=True,
                   input="#define _GNU_SOURCE\n#include <unistd.h>\n#include <sys/syscall.h>\n"
                         "ssize_t pwrite64(int f, const void *b, size_t n, off64_t at) "
                         "{ usleep(300000); return syscall(SYS_pwrite64, f, b, n, at); }")
    with subprocess.Popen([BINARY, "-c", d.config_path], cwd=directory,
                          stdin=subprocess.DEVNULL,
                          env=dict(d.environment(), LD_PRELOAD=slow)) as starter:
        assert starter.wait(servers.PATIENCE) == 0
        pid = int(read(pid_file))
    assert pid != starter.pid
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not os.path.exists("/proc/%d" % pid), "its end")


def test_daemonize_reports_a_bad_start_in_the_foreground(scratch):
    directory = scratch()
    put(directory, "Daemonize = true Listen = '/no/such/directory/s' LogFilePath = ''")
    done = run("-c", "config.lua", cwd=directory)
    assert done.returncode == 1 and "/no/such/directory" in done.stderr


def test_pid_file(daemon, scratch):
    path = os.path.join(scratch(), "pid")
    d = daemon(PidFile=path)
    d.main("")  # it listens before it writes the file
    assert read(path).strip() == str(d.pid)
    d.signal(signal.SIGTERM)
    assert d.wait() == 0
    assert not os.path.exists(path)


@pytest.mark.not_under("thread", reason="the sanitizer writes a file as it starts")
def test_a_pid_file_on_a_full_disk_stops_the_start(scratch):
    """A file size of 0 stands in for the disk."""
    directory = scratch()
    put(directory, "Listen = '%s/s' PidFile = '%s/pid' LogFilePath = ''" %
        (directory, directory))
    done = subprocess.run([BINARY, "-c", "config.lua"], cwd=directory, timeout=servers.PATIENCE,
                          stderr=subprocess.PIPE, text=True, preexec_fn=lambda:
                          resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)))
    assert done.returncode == 1 and "PidFile" in done.stderr
    assert not os.path.exists(directory + "/pid")


@root_only
def test_privileges_are_dropped_after_binding(daemon, scratch):
    directory = scratch()
    os.chmod(directory, 0o755)
    d = daemon(Listen=os.path.join(directory, "s"), User="nobody", Group="nogroup")
    d.main("")  # the socket is there before the privileges go
    status = read("/proc/%d/status" % d.pid)
    assert re.search(r"Uid:\s+65534\s+65534\s+65534\s+65534", status)
    assert re.search(r"Gid:\s+65534\s+65534\s+65534\s+65534", status)
    assert re.search(r"Groups:\s*(65534 ?)?\n", status)
    assert d.main("local p = io.popen('id -u') return p:read('l')").text == "65534"


@root_only
def test_group_of_the_user_is_taken_with_it(daemon):
    assert daemon(User="nobody").main(
        "local p = io.popen('id -u; id -g; id -G') return p:read('a')").text.split() == \
        ["65534"] * 3


@root_only
@pytest.mark.parametrize("options", [{"User": "65534"}, {"User": "65534", "Group": "65534"},
                                     {"User": "nobody", "Group": "65534"}], ids=str)
def test_user_and_group_by_number(daemon, options):
    assert daemon(**options).main("local p = io.popen('id -u; id -g') return p:read('a')"
                                  ).text.split() == ["65534"] * 2


@root_only
@pytest.mark.parametrize("options, owner, group", [
    ({}, 0, 0), ({"ListenOwner": "nobody"}, 65534, 0), ({"ListenGroup": "nogroup"}, 0, 65534),
    ({"ListenOwner": "nobody", "ListenGroup": "nogroup"}, 65534, 65534),
    ({"ListenOwner": "65534", "ListenGroup": "65534"}, 65534, 65534),
])
def test_owner_of_the_socket(daemon, options, owner, group):
    stat = os.stat(daemon(**options).address)
    assert (stat.st_uid, stat.st_gid) == (owner, group)


def test_idle_kept_connection_is_closed_after_its_time(daemon):
    d = daemon(KeepAliveTimeout=2)
    page = d.script("function main() end")
    with d.connect() as c:
        for _ in range(3):
            began = time.monotonic()
            c.begin(d.site.params(page), keep=True).end()
            assert c.response().ended
        assert c.is_closed(servers.PATIENCE)
        assert time.monotonic() - began > 1.9


def test_request_that_does_not_come_to_its_end_is_given_up(daemon):
    d = daemon(ReadTimeout=2, WorkerThreads=1)
    d.any_errors = True
    page = d.script("function main() Receive() return 'x' end")
    head, body = d.connect().send(b"\x01\x01\x00\x01"), d.open(page).body("half")
    assert head.is_closed(servers.PATIENCE)
    assert body.response().status != 200
    assert d.post(page, b"whole").text == "x"


def test_client_that_does_not_read_is_given_up(daemon):
    d = daemon(WriteTimeout=0.5, WorkerThreads=1)
    d.any_errors = True
    page = d.script("function main() if Env.QUERY_STRING == 'big' then "
                    "Send(('x'):rep(20000000)) end Send('end') end")
    with d.connect() as stubborn:
        stubborn.begin(d.site.params(page, query="big")).end()
        assert d.get(page).text == "end"


@pytest.mark.parametrize("short, long", [("-h", "--help"), ("-v", "--version")])
def test_options_of_two_dashes_say_the_same(short, long):
    done = run(long)
    assert (done.returncode, done.stdout, done.stderr) == (0, run(short).stdout, "")


def test_unknown_option_is_refused_with_the_usage():
    done = run("--nonsense")
    assert done.returncode == 1 and "usage:" in done.stderr and not done.stdout
