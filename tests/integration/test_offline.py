"""luafcgid2 -r: one request without a web server."""

import errno
import os
import re
import signal
import subprocess

import pytest

import servers

CONFIG = 'LogFilePath = "/no/such/log"\nListen = "/no/such/socket"\n'


@pytest.fixture
def place(scratch):
    directory = scratch()
    with open(directory + "/config.lua", "w", encoding="ascii") as f:
        f.write(CONFIG)
    return directory


def run(place, script, *words, body=b"", config="", options=(), environment=None):
    with open(place + "/s.lua", "w", encoding="utf-8") as f:
        f.write(script)
    if config:
        with open(place + "/config.lua", "w", encoding="ascii") as f:
            f.write(CONFIG + config)
    return subprocess.run([servers.BINARY, "-r", "s.lua", *options, *words], cwd=place, input=body,
                          capture_output=True, check=False, timeout=servers.PATIENCE,
                          env=dict(os.environ, **(environment or {})))


def page(code):
    return "function main(env, con) %s end" % code


def test_the_body_goes_to_standard_output_and_the_log_to_standard_error(place):
    done = run(place, page("Log('said') print('printed') os.execute('echo child') con:puts('hello')"))
    assert (done.returncode, done.stdout) == (0, b"hello")
    for text in (b"s.lua: said\n", b"s.lua: printed\n", b"child\n"):
        assert text in done.stderr


def test_headers_on_demand(place):
    done = run(place, page("RespStatus(201) Header('X-A', 'b') Send('x') Flush() Send('y')"), options=["-i"])
    head, body = done.stdout.split(b"\r\n\r\n")
    assert head.startswith(b"Status: 201 Created\r\n") and b"\r\nX-A: b" in head and body == b"xy"


@pytest.mark.parametrize("code, status", [
    ("RespStatus(302)", 0), ("RespStatus(404)", 4), ("RespStatus(499)", 4), ("RespStatus(503)", 5),
    ("error('on purpose')", 5), ("Send('x') Flush() error('on purpose')", 5), ("os.exit(3)", 0),
    ("assert(1 == 2)", 5), ("lf.form()", 0)])
def test_the_exit_status_is_the_class_of_the_response(place, code, status):
    done = run(place, page(code))
    assert done.returncode == status
    assert (b"on purpose" in done.stderr) == ("on purpose" in code)


def test_a_script_that_is_not_there_is_a_404(place):
    done = subprocess.run([servers.BINARY, "-r", "none.lua"], cwd=place, capture_output=True, check=False,
                          stdin=subprocess.DEVNULL, timeout=servers.PATIENCE)
    assert done.returncode == 4 and b"none.lua: 404: " in done.stderr


def test_parameters_come_from_the_command_line(place):
    script = page("""Send(env.REQUEST_METHOD, env.X, lf.query().a, env.SCRIPT_NAME, lf.header("x-y"), "|",
                     env.SCRIPT_FILENAME, "|", env.DOCUMENT_ROOT)""")
    done = run(place, script, "X=1=2", "QUERY_STRING=a=%41", "HTTP_X_Y=z")
    assert done.stdout.decode() == "GET1=2A/s.luaz|%s/s.lua|%s" % (place, place)
    long = "x" * 100000
    assert run(place, page("Send(env.X)"), "X=" + long).stdout.decode() == long


def test_the_body_comes_from_standard_input(place):
    assert run(place, page("Send(Receive())"), body=b"\0abc" * 50000).stdout == b"\0abc" * 50000
    assert run(place, page("Send(lf.form().a)"), "REQUEST_METHOD=POST", body=b"a=%42").stdout == b"B"
    assert run(place, page("Send(env.REQUEST_METHOD, Receive())"), "CONTENT_TYPE=text/x",
               body=b"x").stdout == b"POSTx"


def test_a_body_that_is_too_large_is_a_413(place):
    done = run(place, page("Receive()"), body=b"x" * 11, config="MaxPostSize = 10")
    assert done.returncode == 4 and b"413: " in done.stderr


def test_standard_input_is_not_the_scripts(place):
    assert run(place, page("Send(tostring(io.read()), Receive())"), body=b"x").stdout == b"nilx"


def test_limits_hold(place):
    done = run(place, page("while true do end"), config="RequestTimeout = 0.3")
    assert done.returncode == 5 and b"time limit" in done.stderr
    done = run(place, page("local t = {} while true do t[#t + 1] = ('x'):rep(1e6) .. #t end"),
               config="ScriptMemoryLimit = 8000000")
    assert done.returncode == 5 and b"memory limit" in done.stderr


def test_waits_and_sessions_and_modules_work(place):
    with open(place + "/m.lua", "w", encoding="ascii") as f:
        f.write("return {value = 7}")
    done = run(place, page("""Sleep(0.01) Session.SetVar("a", "b", 1) assert(Session.GetVar("a", "b") == 1)
                              Send(require("m").value) Finish() Log("after")"""))
    assert (done.returncode, done.stdout) == (0, b"7")
    assert b"after" in done.stderr


def test_the_sessions_of_the_daemon_are_left_alone(place):
    path = place + "/sessions"
    done = run(place, page("Session.SetVar('a', 'b', 1)"), config='SessionFile = "%s"' % path)
    assert done.returncode == 0 and not os.path.exists(path)


@pytest.mark.parametrize("words", [["novalue"], ["=x"], ["-t"], ["-i", "file"]])
def test_wrong_words_are_refused(place, words):
    done = run(place, page("Send('x')"), *words)
    assert done.returncode == 1 and b"usage: " in done.stderr and not done.stdout


def test_a_wrong_configuration_is_refused(place):
    done = run(place, page(""), config="WorkerThreads = 'four'")
    assert done.returncode == 1 and b"WorkerThreads" in done.stderr


def test_a_reader_that_goes_away_ends_the_script(place):
    script = page("for i = 1, 1e9 do Send(('x'):rep(1000)) if not Flush() then Log('gone') return end end")
    with open(place + "/s.lua", "w", encoding="ascii") as f:
        f.write(script)
    done = subprocess.run('"%s" -r s.lua </dev/null | head -c 10' % servers.BINARY, shell=True, cwd=place,
                          capture_output=True, check=True, timeout=servers.PATIENCE)
    assert done.stdout == b"x" * 10 and b"gone" in done.stderr


def test_a_response_that_cannot_be_written_is_a_failure(place):
    with open(place + "/s.lua", "w", encoding="ascii") as f:
        f.write(page("Send('x')"))
    with open("/dev/full", "wb") as full:
        done = subprocess.run([servers.BINARY, "-r", "s.lua"], cwd=place, stdin=subprocess.DEVNULL, stdout=full,
                              stderr=subprocess.PIPE, check=False, timeout=servers.PATIENCE)
    assert done.returncode == 1 and os.strerror(errno.ENOSPC).encode() in done.stderr


def test_a_wait_stops_the_clock(place):
    done = run(place, page("Sleep(3.2) Send('on')"), config="RequestTimeout = 3")
    assert (done.returncode, done.stdout) == (0, b"on")
    done = run(place, page("Sleep(0.1) while true do end"), config="RequestTimeout = 0.3")
    assert done.returncode == 5 and b"time limit" in done.stderr


def test_what_belongs_to_the_daemon_and_the_web_server_is_left_out(place):
    with open(place + "/data.bin", "wb") as f:
        f.write(bytes(range(256)) * 1000)
    config = """AccessLogPath = "%s/access" SlowLogPath = "%s/slow" SlowLogTime = 0.001 StatusPath = "/s.lua"
                SendFileHeader = "X-Sendfile" LogToWebServer = true""" % (place, place)
    done = run(place, page("Sleep(0.1) SendFile('data.bin')"), config=config)
    assert (done.returncode, done.stdout) == (0, bytes(range(256)) * 1000)
    assert sorted(os.listdir(place)) == ["config.lua", "data.bin", "s.lua"]


def test_a_part_of_a_file(place):
    with open(place + "/data.txt", "wb") as f:
        f.write(b"0123456789")
    done = run(place, page("SendFile('data.txt')"), "HTTP_RANGE=bytes=2-4", options=["-i"])
    assert done.stdout.startswith(b"Status: 206 ") and done.stdout.endswith(b"\r\n\r\n234")


def test_the_path_of_a_script_is_tidy(place):
    with open(place + "/t.lua", "w", encoding="ascii") as f:
        f.write(page("Send(env.SCRIPT_FILENAME)"))
    for name, directory in (("./t.lua", place), (place[1:] + "/t.lua", "/")):
        done = subprocess.run([servers.BINARY, "-r", name], cwd=directory, stdin=subprocess.DEVNULL, check=True,
                              capture_output=True, timeout=servers.PATIENCE)
        assert done.stdout.decode() == place + "/t.lua"


def test_assertions_of_a_test_script(place):
    script = """
local failed = 0
local function it(what, check)
    local ok, why = pcall(check)
    failed = failed + (ok and 0 or 1)
    Send(ok and "ok " or "not ok ", what, ok and "" or ": " .. tostring(why), "\\n")
end
function main()
    it("escapes", function() assert(lf.escape("<") == "&lt;") end)
    it("counts", function() assert(Shared.incr("n") == 1) end)
    %s
    if failed > 0 then RespStatus(500) end
end"""
    done = run(place, script % "")
    assert (done.returncode, done.stdout) == (0, b"ok escapes\nok counts\n")
    done = run(place, script % "it('adds', function() assert(1 + 1 == 3, 'no') end)")
    assert done.returncode == 5
    assert re.search(rb"^not ok adds: .*s.lua:\d+: no$", done.stdout, re.M)


# -- Uploads --

UPLOAD = b'--b\r\nContent-Disposition: form-data; name="f"; filename="a.bin"\r\n\r\n%s\r\n--b--\r\n'
FORM = "CONTENT_TYPE=multipart/form-data; boundary=b"


def test_an_upload_is_kept_only_when_it_is_saved(place):
    os.mkdir(place + "/up")
    content = os.urandom(300000)
    config = 'UploadDir = "%s/up"' % place
    done = run(place, page("local f = lf.files().f assert(f:save('saved')) Send(f.name, f.size)"), FORM,
               body=UPLOAD % content, config=config)
    assert (done.returncode, done.stdout) == (0, b"a.bin300000")
    with open(place + "/saved", "rb") as f:
        assert f.read() == content
    run(place, page("lf.files()"), FORM, body=UPLOAD % content)
    assert os.listdir(place + "/up") == []


def test_without_a_directory_for_uploads_a_message_says_so(place):
    done = run(place, page("lf.files()"), FORM, body=UPLOAD % b"x", config='UploadDir = "/no/such/directory"')
    assert done.returncode == 5 and b"/no/such/directory" in done.stderr


# -- Ends --

def begin(place, code, *words, body=b"", command=(servers.BINARY, "-r", "s.lua")):
    """Starts it, and returns when the script has said that it runs."""
    with open(place + "/s.lua", "w", encoding="utf-8") as f:
        f.write(page(code))
    p = subprocess.Popen([*command, *words], cwd=place, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE)
    p.stdin.write(body)
    p.stdin.close()
    p.stdin = None
    assert p.stdout.read(4) == b"runs"
    return p


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("code", ["Sleep(1000)", "while true do end", "os.execute('sleep 1000')",
                                  "io.popen('sleep 1000'):read('a')"])
def test_a_signal_ends_it_and_what_it_started(place, code, number):
    p = begin(place, "Send('runs') Flush() " + code)
    p.send_signal(number)
    # A child that went on would keep both pipes open.
    _, log = p.communicate(timeout=servers.PATIENCE)
    assert p.returncode == -number and not log


def test_a_signal_leaves_no_upload_behind(place):
    os.mkdir(place + "/up")
    with open(place + "/config.lua", "a", encoding="ascii") as f:
        f.write('UploadDir = "%s/up"' % place)
    p = begin(place, "lf.files() Send('runs') Flush() Sleep(1000)", FORM, body=UPLOAD % (b"x" * 100000))
    assert len(os.listdir(place + "/up")) == 1
    p.terminate()
    p.communicate(timeout=servers.PATIENCE)
    assert p.returncode == -signal.SIGTERM and os.listdir(place + "/up") == []


def test_what_a_killed_run_has_left_the_next_one_removes(place):
    os.mkdir(place + "/up")
    with open(place + "/config.lua", "a", encoding="ascii") as f:
        f.write('UploadDir = "%s/up"' % place)
    wait = "lf.files() Send('runs') Flush() Sleep(1000)"
    killed = begin(place, wait, FORM, body=UPLOAD % b"x")
    left = os.listdir(place + "/up")
    killed.kill()
    killed.communicate(timeout=servers.PATIENCE)
    assert os.listdir(place + "/up") == left and len(left) == 1
    p = begin(place, wait, FORM, body=UPLOAD % b"x")
    own = os.listdir(place + "/up")
    assert len(own) == 1 and own != left
    run(place, page("lf.files()"), FORM, body=UPLOAD % b"x")
    assert os.listdir(place + "/up") == own  # of one that runs
    p.terminate()
    p.communicate(timeout=servers.PATIENCE)
    assert os.listdir(place + "/up") == []


def test_a_signal_that_is_ignored_stays_so(place):
    """As under nohup."""
    code = "Send('runs') Flush() local f while not f do Sleep(0.02) f = io.open('go') end Send('on')"
    p = begin(place, code, command=["sh", "-c", "trap '' HUP; exec \"%s\" -r s.lua" % servers.BINARY])
    p.send_signal(signal.SIGHUP)
    with open(place + "/go", "w", encoding="ascii"):
        pass
    assert p.communicate(timeout=servers.PATIENCE)[0] == b"on" and p.returncode == 0


def test_what_the_daemon_measures_is_of_no_harm(place):
    done = run(place, page("Send('x')"), config='StatusListen = "%s/status"\n' % place)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"x", b"")
