"""Where the log, the access log and the slow log go: rotation, copytruncate, reloads, the
system's log, the web server's log."""

import http.client
import os
import re
import signal
import socket
import subprocess
import time

import pytest

import servers
from servers import PATIENCE, lua, read, wait_until

SLOW = ("function main() Log('serves ' .. Env.QUERY_STRING) "
        "local t = os.clock() while os.clock() < t + 0.5 do end end")


@pytest.fixture
def logs(daemon, scratch):
    """A daemon with a file for each log, and a function that gives a request of which each
    log must tell, in the files of that directory."""
    first = scratch()

    def options(directory):
        return {name: os.path.join(directory, name)
                for name in ("LogFilePath", "AccessLogPath", "SlowLogPath")}

    d = daemon(**options(first), SlowLogTime=0.1, AccessLogFormat="%U %q")
    d.log_path = os.path.join(first, "LogFilePath")
    page = d.script(SLOW)

    def serve(mark, directory=first):
        """Waits until each log tells of the request, the last two with one entry."""
        d.get(page, query=mark)
        paths = options(directory)
        for path in paths.values():
            wait_until(lambda p=path: os.path.exists(p) and mark in read(p), path)
        for name in ("AccessLogPath", "SlowLogPath"):
            assert read(paths[name]).count("?" + mark) == 1, name
        return paths
    d.serve, d.options_of, d.first = serve, options, first
    return d


def test_every_log_is_reopened(logs):
    paths = logs.serve("one")
    for path in paths.values():
        os.rename(path, path + ".1")
    logs.signal(signal.SIGUSR1)
    wait_until(lambda: all(os.path.exists(path) for path in paths.values()), "new files")
    logs.wait_log("log reopened")
    logs.serve("two")
    for path in paths.values():
        assert "two" not in read(path + ".1")


def test_every_log_goes_on_after_copytruncate(logs):
    paths = logs.serve("one")
    for path in paths.values():
        os.truncate(path, 0)
    logs.serve("two")
    for path in paths.values():
        text = read(path)
        assert text and "\0" not in text and "one" not in text


def test_after_a_reload_every_log_goes_where_the_new_configuration_says(logs, scratch):
    logs.serve("one")
    second = scratch()
    logs.write_config(**logs.options_of(second))
    logs.log_path = os.path.join(second, "LogFilePath")
    logs.signal(signal.SIGHUP)
    logs.wait_log("configuration reloaded")
    old = {path: read(path) for path in logs.options_of(logs.first).values()}
    logs.serve("two", second)
    assert {path: read(path) for path in old} == old
    for path in logs.options_of(second).values():
        os.rename(path, path + ".1")
    logs.signal(signal.SIGUSR1)
    logs.wait_log("log reopened")
    logs.serve("three", second)
    assert {path: read(path) for path in old} == old


def test_a_log_directory_that_vanishes_stops_nothing(logs):
    """The files are gone, the directory too: lines go where they went, until it is back."""
    paths = logs.serve("one")
    for path in paths.values():
        os.rename(path, path + ".1")
    os.rename(logs.first, logs.first + ".gone")
    logs.any_errors = logs.any_stderr = True
    logs.signal(signal.SIGUSR1)
    gone = logs.first + ".gone/"
    wait_until(lambda: "cannot be reopened" in read(gone + "LogFilePath.1"), "the warning")
    assert logs.get(logs.script("function main() return 'fine' end")).text == "fine"
    os.rename(logs.first + ".gone", logs.first)
    logs.signal(signal.SIGUSR1)
    logs.wait_log("log reopened")
    logs.serve("two")


# -- The system's log --

class Syslog:
    """A socket of the test's in place of /dev/log, in a namespace of the daemon's own."""

    def __init__(self, directory):
        self.path = os.path.join(directory, "log")
        self.socket = None
        self.open()

    def open(self):
        if os.path.exists(self.path):
            os.unlink(self.path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(PATIENCE)

    def restart(self):
        self.socket.close()
        self.open()

    def until(self, pattern):
        """Reads up to the datagram that matches."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            text = self.socket.recv(9000).decode()
            if re.search(pattern, text):
                return text
        raise AssertionError("no %r in the system's log" % pattern)


def test_the_systems_log_may_be_restarted_and_left_by_a_reload(daemon, scratch):
    directory = scratch()
    setup = "mount -t tmpfs none /dev && ln -s %s/log /dev/log" % directory
    if subprocess.run(["unshare", "-rm", "sh", "-c", setup], check=False,
                      capture_output=True).returncode != 0:
        pytest.skip("no namespace of its own")
    syslog = Syslog(directory)
    options = {"Listen": os.path.join(directory, "s"), "LogFilePath": "syslog:local3",
               "MinFileInfoTime": 50}
    config = os.path.join(directory, "config.lua")

    def write(**more):
        with open(config, "w", encoding="ascii") as f:
            f.writelines("%s = %s\n" % item for item in
                         {k: lua(v) for k, v in {**options, **more}.items()}.items())
            f.write("function OnHeartbeat() Log('beat') end")

    write()
    program = subprocess.Popen(["unshare", "-rm", "sh", "-c", setup + " && exec %s -c %s" % (
        servers.BINARY, config)])
    try:
        assert syslog.until("beat").startswith("<158>luafcgid2[")
        syslog.restart()  # as rsyslog is by an update, without a word to us
        for _ in range(2):  # with the second the thread that has found it is done with that
            syslog.until("beat")
        program.send_signal(signal.SIGUSR1)
        syslog.until("log reopened")
        write(LogFilePath=os.path.join(directory, "file"))
        program.send_signal(signal.SIGHUP)
        wait_until(lambda: os.path.exists(os.path.join(directory, "file")) and
                   "beat" in read(os.path.join(directory, "file")), "lines in the file")
        write()
        program.send_signal(signal.SIGHUP)
        syslog.until("configuration reloaded")
        syslog.until("beat")
    finally:
        program.terminate()
        assert program.wait() == 0
        syslog.socket.close()


# -- The web server's log --

@pytest.mark.parametrize("keepalive", [0, 4])
def test_nginx_has_the_message_beside_its_request(daemon, nginx, keepalive):
    d = daemon(LogToWebServer=True, LogFormat="json", WorkerThreads=2)
    n = nginx(d, keepalive=keepalive,
              location="fastcgi_param REQUEST_ID $request_id; fastcgi_param X $request_id;")
    n.any_errors = True
    pages = [d.script("function main() %s error('wrong thing') end" % first)
             for first in ("", "Send(('x'):rep(100000)) Flush()")]
    assert n.get("/" + pages[0]).status == 500
    with pytest.raises(http.client.IncompleteRead):  # it has begun as a 200
        n.get("/" + pages[1])
    fine = d.script("function main() return 'fine' end")
    assert n.get(fine).content == b"fine"
    d.any_errors = True
    path = os.path.join(n.directory, "nginx.log")
    wait_until(lambda: read(path).count("wrong thing") == 2, "both messages in nginx's log")
    for page in pages:
        line, = [line for line in read(path).splitlines() if page in line and "wrong" in line]
        assert re.search(r'FastCGI sent in stderr: "\S+%s:1: wrong thing, id: \w{32}"' % page, line)
        assert 'request: "GET /%s HTTP/1.1"' % page in line and "traceback" not in line
        # The id leads to the line of the daemon's log that has the traceback.
        id_, = re.findall(r"id: (\w{32})", line)
        ours, = [line for line in d.log().splitlines() if id_ in line]
        assert "in function 'main'" in ours
    assert fine not in read(path)


def test_a_message_waits_for_a_slow_web_server_without_a_worker(daemon):
    """The response has filled the socket when the error comes: just so for one of these."""
    d = daemon(LogToWebServer=True, WorkerThreads=1, LuaMaxStates=20)
    d.any_errors = True
    page = d.script("""function main()
        local stop = tonumber(Env.QUERY_STRING)
        for i = 1, 100000 do
            Send(('x'):rep(1000))
            if i == stop then error('wrong thing') end
            Shared.set('written', i)
            Flush()
            if i == -stop then error('wrong thing') end
        end
    end""")
    written = d.script("function main() return tostring(Shared.get('written')) end")
    with d.open(page, "GET", "0").end():  # which takes nothing
        wait_until(lambda: d.get(written).text != "nil", "the worker to leave a full socket")
        full = int(d.get(written).text)
    slow = [d.open(page, "GET", str(stop)).end()
            for n in range(full - 4, full) for stop in (n + 1, -n)]
    wait_until(lambda: d.log().count("wrong thing") == len(slow), "every error")
    assert d.get(written).status == 200
    for c in slow:
        with c:
            r = c.response()
            assert r.cut and not r.ended and b"wrong thing" in r.stderr, r
