"""OnStart, OnHeartbeat and OnStop: functions of the configuration, in a thread that nothing
waits for."""

import os
import re
import resource
import subprocess
import time

import pytest

from servers import HASTY, read, wait_until

BEATS = """
local beats = 0
function OnStart(why) Log("begins: ", why) end
function OnHeartbeat() beats = beats + 1 Log("beat ", beats) end
function OnStop(why) Log("ends: ", why) end
"""
HELLO = "function main() Send('hello') end"


def said(d, hook):
    """What the log has of a hook."""
    return [line.text for line in d.lines() if line.script == hook]


def children(marker):
    """Processes whose command line has the marker."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/cmdline" % pid, "rb") as f:
                if marker.encode() in f.read():
                    found.append(int(pid))
        except OSError:
            pass
    return found


def test_they_are_called_at_the_start_at_each_heartbeat_and_at_the_end(daemon):
    d = daemon(config=BEATS)
    d.wait_log("beat 3")
    assert said(d, "OnStart") == ["begins: start"]
    assert said(d, "OnHeartbeat")[:3] == ["beat 1", "beat 2", "beat 3"]
    d.stop()
    assert said(d, "OnStop") == ["ends: stop"]
    texts = [line.text for line in d.lines()]
    assert texts.index("stopping") < texts.index("ends: stop") < texts.index("stopped")


def test_a_reload_ends_those_of_the_old_file_and_begins_those_of_the_new(daemon):
    d = daemon(config=BEATS)
    d.wait_log("beat 2")
    d.write_config(config=BEATS.replace("beat ", "new beat "))
    d.reload()
    d.wait_log("new beat 2")
    assert said(d, "OnStop") == ["ends: reload"]
    assert said(d, "OnStart") == ["begins: start", "begins: reload"]
    order = [line.text for line in d.lines() if line.script in ("OnStart", "OnStop")]
    assert order == ["begins: start", "ends: reload", "begins: reload"]
    d.write_config(config="")
    d.reload()
    wait_until(lambda: said(d, "OnStop") == ["ends: reload"] * 2, "the last OnStop")
    beats = len(said(d, "OnHeartbeat"))
    assert d.get(d.script(HELLO)).text == "hello"
    d.stop()
    assert len(said(d, "OnHeartbeat")) == beats


def test_a_wrong_file_at_a_reload_leaves_them_as_they_are(daemon):
    d = daemon(config=BEATS)
    d.wait_log("beat 1")
    d.write_config(config="OnStart = 5")
    d.signal(1)
    d.expect_error("OnStart: expected a function, got 5")
    d.expect_error("the old one stays")
    beats = len(said(d, "OnHeartbeat"))
    wait_until(lambda: len(said(d, "OnHeartbeat")) > beats, "more beats")
    d.stop()
    assert said(d, "OnStop") == ["ends: stop"]


def test_what_they_share_and_publish_reaches_scripts(daemon):
    d = daemon(config="""
        function OnStart() Shared.set("from", "the start") end
        function OnHeartbeat() Publish("beats", "beat " .. Shared.incr("count")) end""")
    page = d.script("""
        function main()
            local news = Subscribe("beats"):next(20)
            Send(Shared.get("from"), ", ", news)
        end""")
    wait_until(lambda: d.get(page).text.startswith("the start, beat "), "a message")


def test_errors_are_logged_with_the_hook_and_harm_nobody(daemon):
    d = daemon(config="""
        local n = 0
        function OnStart() error("no start") end
        function OnHeartbeat() n = n + 1 Log("beat ", n) error("no beat") end
        function OnStop() error({}) end""")
    d.any_errors = True
    d.wait_log("beat 4")
    assert d.get(d.script(HELLO)).text == "hello"
    d.stop()
    errors = [(line.script, line.text) for line in d.lines()
              if line.level == "error" and not line.continues]
    where = d.config_path + ":"
    assert [script for script, _ in errors] == ["OnStart", "OnHeartbeat", "OnStop"]
    assert re.fullmatch(re.escape(where) + r"\d+: no start", errors[0][1])
    assert errors[2][1] == "(error object is a table value)"
    assert any(line.continues and line.script == "OnHeartbeat" and
               "in function 'OnHeartbeat'" in line.text for line in d.lines())


HANGS = {
    "a command": "os.execute('sleep 1000; : %s')",
    "a pipe": "io.popen('sleep 1000; : %s'):read('a')",
    "a loop": "while true do pcall(error) end -- %s",
    "a pattern": "local n = (('a'):rep(500000)):find(('.-'):rep(20) .. 'b') -- %s",
    "a FIFO": "io.open('%s/nobody_writes')",
}


@pytest.mark.parametrize("what", sorted(HANGS))
def test_one_that_hangs_delays_neither_requests_nor_reload_nor_the_end(daemon, what, tmp_path):
    marker = str(tmp_path)
    os.mkfifo(marker + "/nobody_writes")
    d = daemon(binary=HASTY,
               config="function OnHeartbeat() Log('hangs') %s\nend" % (HANGS[what] % marker))
    d.wait_log("hangs")
    page = d.script(HELLO)
    assert d.get(page).text == "hello"
    # The heartbeat goes on: it ends a script that is late.
    d.write_config(config=BEATS, RequestTimeout=0.2)
    d.reload()
    d.wait_log("begins: reload")
    d.wait_log("beat 2")
    assert d.get(d.script("function main() while true do end end")).status == 504
    d.expect_error("time limit exceeded")
    begun = time.monotonic()
    d.any_errors = True
    d.stop()
    assert time.monotonic() - begun < 15
    assert said(d, "OnStop") == ["ends: stop"]
    if what in ("a command", "a pipe"):
        wait_until(lambda: not children(marker), "the command to be killed")
    assert ("OnHeartbeat was cut off" if what == "a FIFO" else
            "was ended, as the daemon stops") in d.log()


@pytest.mark.parametrize("what", sorted(HANGS.keys() - {"a FIFO"}))
def test_one_that_hangs_is_ended_by_its_limit_and_called_again(daemon, what, tmp_path):
    marker = str(tmp_path)
    d = daemon(config="function OnHeartbeat() Log('hangs') %s\nend" % (HANGS[what] % marker),
               RequestTimeoutMax=0.3)
    d.any_errors = True
    wait_until(lambda: len(said(d, "OnHeartbeat")) >= 3, "more than one call")
    d.wait_log("took longer than 0.3 seconds", "error")
    d.wait_log("longer than MinFileInfoTime .50 ms.: it is called less often", "warning")
    d.stop()
    assert d.log().count("it is called less often") == 1
    assert d.log().count("took longer than 0.3 seconds") == 1
    wait_until(lambda: not children(marker), "the commands to be killed")


def test_the_log_says_that_one_runs_for_long(daemon):
    d = daemon(binary=HASTY, config="function OnStart() os.execute('sleep 1000') end "
                                    "function OnHeartbeat() Log('never') end")
    line = d.wait_log("OnStart has run for .* s; no hook is called before it has ended",
                      "warning")
    assert line.worker is None
    d.any_errors = True
    d.stop()
    assert "never" not in d.log() and d.log().count("has run for") == 1


def test_memory_is_limited(daemon):
    d = daemon(ScriptMemoryLimit=2 ** 20, config="""
        function OnHeartbeat() local t = {} for i = 1, 1e8 do t[i] = {} end end""")
    d.any_errors = True
    d.wait_log("needs more than 1024 KiB of memory .ScriptMemoryLimit.", "error")
    assert d.get(d.script(HELLO)).text == "hello"


def test_they_are_not_called_by_a_check_or_by_one_request(daemon, scratch):
    called = os.path.join(scratch(), "called")
    d = daemon(config="for _, name in ipairs {'OnStart', 'OnHeartbeat', 'OnStop'} do "
                      "_G[name] = function() io.open('%s', 'a'):write('x') end end"
                      % called)
    wait_until(lambda: os.path.exists(called), "OnStart")
    d.stop()
    os.unlink(called)
    page = d.site.path(d.script(HELLO))
    for arguments in (["-t"], ["-r", page]):
        done = subprocess.run([d.binary, *arguments, "-c", d.config_path], timeout=60,
                              capture_output=True, text=True, check=True)
        assert done.stderr == ""
        assert done.stdout.endswith("hello" if "-r" in arguments else d.log_path + "\n")
    assert not os.path.exists(called)


def test_a_configuration_of_luafcgid_can_have_them(daemon):
    d = daemon()
    d.stop()
    d.write_config(config=BEATS + "listen = '%s' logfile = '%s' sweep = 50 clones = 2"
                   % (d.address, d.log_path), Listen=None, LogFilePath=None,
                   MinFileInfoTime=None)
    d.start()
    d.wait_log("beat 2")
    assert d.get(d.script(HELLO)).text == "hello"


def test_a_state_is_kept_only_for_them(daemon):
    d = daemon()
    wait_until(lambda: " started: " in read(d.log_path), "the start")
    without = len(os.listdir("/proc/%d/task" % d.pid))
    d.write_config(config=BEATS)
    d.reload()
    d.wait_log("beat 1")
    wait_until(lambda: len(os.listdir("/proc/%d/task" % d.pid)) == without + 1, "a thread more")
    d.write_config(config="")
    d.reload()
    wait_until(lambda: len(os.listdir("/proc/%d/task" % d.pid)) == without, "a thread less")


def test_the_examples_of_the_manual_work(daemon, scratch):
    place = scratch()
    with open(os.path.join(os.path.dirname(__file__), "../../etc/man/luafcgid2-config.5"),
              encoding="utf-8") as f:
        page = f.read()
    blocks = re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed", page, re.M | re.S)
    examples = "\n".join(b for b in blocks if re.search(r"function On", b)).replace("\\e", "\\")
    assert examples.count("function On") == 3
    for name in ("/var/lib/luafcgid2", "/sys/class/thermal/thermal_zone0", "/srv/www"):
        assert name in examples
        examples = examples.replace(name, place)
    with open(os.path.join(place, "temp"), "w", encoding="ascii") as f:
        f.write("48312\n")
    os.mkdir(os.path.join(place, "uploads"))
    old, new = (os.path.join(place, "uploads", name) for name in ("old", "new"))
    for path in (old, new):
        with open(path, "w", encoding="ascii"):
            pass
    os.utime(old, (1, 1))
    examples = examples.replace("now.hour == 3", "now.hour")
    d = daemon(config=examples)
    page = d.script("function main() Send((Subscribe('temperature'):next(20))) end")
    assert d.get(page).text == "48.312"
    wait_until(lambda: not os.path.exists(old), "the old file to be deleted")
    assert os.path.exists(new)
    d.get(d.script("function main() Shared.incr('visits') end"))
    d.stop()
    assert read(os.path.join(place, "notes")).endswith(" start\n")
    assert said(d, "OnStop") == ["stopped after 1 visits"]


def test_files_that_a_hook_keeps_leave_descriptors_for_visitors(daemon, site):
    site.write("hello.lua", HELLO)
    d = daemon(config="""
local kept = {}
local function all(open)
    for _ = 1, 400 do
        local f, why = open()
        if not f then return why end
        kept[#kept + 1] = f
    end
end
function OnHeartbeat()
    if not io.open("%s") then return end
    Log("open: ", all(function() return io.open("/dev/null") end))
    Log("popen: ", all(function() return io.popen("true") end))
    Log("tmpfile: ", all(io.tmpfile))
    Log("lines: ", select(2, pcall(io.lines, "/dev/null")))
    Log("input: ", select(2, pcall(io.input, "/dev/null")))
    Log("again: ", tostring(io.input() ~= nil))
    OnHeartbeat = nil
end
function OnStop()
    kept = nil
    Log("forgotten: ", tostring(io.open("/dev/null") ~= nil))
end
""" % site.path("now"))
    resource.prlimit(d.pid, resource.RLIMIT_NOFILE, (200, 200))
    site.write("now", "")
    d.wait_log("again: true")
    assert d.get("hello.lua").text == "hello"
    d.stop()
    text = "\n".join(said(d, "OnHeartbeat"))
    for name in ("open", "popen", "tmpfile", "lines", "input"):
        assert re.search("^%s: .*Too many open files" % name, text, re.M), text
    assert said(d, "OnStop") == ["forgotten: true"]
