"""The log: its lines, what they escape, where they go."""

import datetime
import json
import os
import re
import resource
import signal
import socket
import subprocess
import threading

import pytest

import servers
from servers import PATIENCE, lua, read, vanish, wait_until

DAEMON = {"WorkerThreads": 4}


def test_line_has_time_level_worker_and_script(web):
    page = web.script("function main() Log('the text') Send(Info.Thread) end")
    before = datetime.datetime.now(datetime.timezone.utc)
    worker = web.get(page).text
    line = web.wait_log("the text")
    after = datetime.datetime.now(datetime.timezone.utc)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info worker %s %s: the text"
                        % (worker, re.escape(web.site.path(page))), line.line)
    time = datetime.datetime.strptime(line.time, "%Y-%m-%dT%H:%M:%S.%f%z")
    assert before - datetime.timedelta(milliseconds=2) <= time <= after


@pytest.mark.parametrize("text, logged", [
    (b"a\nb", r"a\nb"), (b"a\r\nb", r"a\r\nb"), (b"a\tb", r"a\tb"),
    (b"\x1b[31mred", r"\x1b[31mred"),
    (b"\x07\x7f", r"\x07\x7f"), (b"\xff\xfe", r"\xff\xfe"), (b"\xc3", r"\xc3"),
    ("z\u00fcrich \u20ac".encode(), "z\u00fcrich \u20ac"), (b"\xc0\xaf", r"\xc0\xaf"),
    (b"%s%n%p%1000000d", "%s%n%p%1000000d"), (b"back\\slash", "back\\slash"),
    ("\u009b31m".encode(), r"\xc2\x9b31m"),
])
def test_text_is_escaped(web, text, logged):
    web.main("Log('<' .. %s .. '>')" % lua(text))
    assert web.wait_log("<").text == "<%s>" % logged


def test_text_after_a_nul_is_not_lost(web):
    web.main("Log('before\\0after')")
    assert "after" in web.wait_log("before").text


@pytest.mark.parametrize("text", ["('x'):rep(100000)", "('\\n'):rep(100000)",
                                  "('\\u{20ac}'):rep(10000)", "('\\xff'):rep(8000)"])
def test_line_is_never_longer_than_8_kib(web, text):
    web.main("Log(%s) Log('end of it')" % text)
    web.wait_log("end of it")
    longest = max(len(line.line.encode("utf-8", "surrogateescape")) + 1 for line in web.lines())
    assert 8000 < longest <= 8192


def test_lines_of_several_threads_do_not_mix(web):
    """All of them fit the log's queue, should the disk hold them up."""
    page = web.script("""function main() for i = 1, 50 do
        Log(Env.X_ID .. (" "):rep(100) .. Env.X_ID:rep(900) .. "!") end end""")
    threads = [threading.Thread(target=web.get, args=(page,), kwargs={"X_ID": c})
               for c in "abcd"]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    whole = [c + " " * 100 + c * 900 + "!" for c in "abcd"]
    wait_until(lambda: all([line.text for line in web.lines()].count(text) == 50 for text in whole),
               "all lines, whole")


ABOUT = r', client: 192\.0\.2\.7, request: "GET /%s\?a=%%22b", id: (\S+)'


@pytest.mark.parametrize("given", [None, "0123456789abcdef0123456789abcdef"])
def test_errors_and_warnings_name_the_request_by_the_id_that_the_script_has(web, given):
    page = web.script("""function main()
        Log("warning", "of ", Env.REQUEST_ID) Log("of ", Env.REQUEST_ID) error("wrong") end""")
    web.get(page, REMOTE_ADDR="192.0.2.7", query="a=%22b", REQUEST_ID=given)
    web.expect_error("wrong")
    warning, info, error = web.lines()[:3]
    name = re.fullmatch(ABOUT % re.escape(page), warning.request).group(1)
    assert given in (None, name) and re.fullmatch("[0-9a-f]{32}", name)
    assert warning.text == "of " + name and error.request == warning.request
    assert info.text == "of " + name and info.request is None


def test_each_request_has_an_id_of_its_own(web):
    page = web.script("function main() Send(Env.REQUEST_ID) end")
    assert len({web.get(page).text for _ in range(20)}) == 20


def test_one_error_is_one_error_in_the_log(web):
    page = web.script("local function f() error('a\\nb') end function main() f() end")
    for _ in range(3):
        assert web.get(page).status == 500
    web.expect_error("stack traceback")
    wait_until(lambda: web.log()[web.mark:].count("stack traceback") == 3, "three tracebacks")
    text = web.log()[web.mark:]
    assert len(re.findall(r"(?m)^\S+ error ", text)) == 3
    assert [line.continues for line in web.lines()[:3]] == [False, True, True]


def test_levels_of_a_script(web):
    web.get(web.script("""function main(env, con)
        Log('error', 'e', 1) con:log('warning', 'w') Log('debug', 'd') Log('i', 'n') end"""))
    web.expect_error("e1")
    found = [(line.level, line.text) for line in web.lines() if line.worker]
    assert found == [("error", "e1"), ("warning", "w"), ("info", "in")]


def test_json_is_one_object_a_line(daemon):
    d = daemon(LogFormat="json")
    page = d.script("function main() Log('a \"quoted\" text') error('wrong') end")
    assert d.get(page, REMOTE_ADDR="192.0.2.7", REQUEST_ID="xyz").status == 500
    wait_until(lambda: d.log().count('"worker":') == 2, "both lines")
    lines = [json.loads(line) for line in d.log().splitlines()]
    quoted, wrong = [line for line in lines if line.get("worker")]
    assert quoted["message"] == 'a "quoted" text' and quoted["level"] == "info"
    assert wrong["message"].endswith("wrong") and "in function 'main'" in wrong["traceback"]
    assert wrong["script"] == d.site.path(page) and wrong["level"] == "error"
    assert (wrong["client"], wrong["method"], wrong["uri"], wrong["id"]) == (
        "192.0.2.7", "GET", "/" + page, "xyz")
    d.reload(LogFormat="text")
    d.mark = len(d.log())


@pytest.mark.parametrize("first", ["", "Send('x') Flush() "])
def test_the_web_server_gets_the_message_of_an_error(daemon, first):
    d = daemon(LogToWebServer=True)
    got = d.get(d.script("function main() %s error('wrong thing') end" % first), REQUEST_ID="xyz")
    d.expect_error("wrong thing")
    assert re.fullmatch(r"\S+:\d+: wrong thing, id: xyz", got.stderr.decode())
    assert d.get(d.script("function main() return 'fine' end")).stderr == b""


def test_the_web_server_gets_nothing_unasked(web):
    assert web.run("error('wrong thing')").stderr == b""
    web.expect_error("wrong thing")


def test_a_startup_script_that_does_not_compile_is_named_without_a_traceback(daemon, scratch):
    startup = os.path.join(scratch(), "startup.lua")
    with open(startup, "w", encoding="ascii") as f:
        f.write("x = = 1\n")
    d = daemon(StartupScript=startup)
    assert d.run("return 'x'").status == 500
    line = d.expect_error("startup.lua:1: unexpected symbol")
    assert "traceback" not in d.log() and line.request


def test_lines_go_to_the_systems_log(daemon, scratch):
    """In a namespace of its own, where /dev/log is a socket of the test's."""
    directory = scratch()
    reader = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    reader.bind(os.path.join(directory, "log"))
    reader.settimeout(PATIENCE)
    setup = "mount -t tmpfs none /dev && ln -s %s/log /dev/log" % directory
    if subprocess.run(["unshare", "-rm", "sh", "-c", setup], check=False,
                      capture_output=True).returncode != 0:
        pytest.skip("no namespace of its own")
    config = os.path.join(directory, "config.lua")
    with open(config, "w", encoding="ascii") as f:
        f.write("Listen = %r LogFilePath = 'syslog:local3'" % os.path.join(directory, "s"))
    program = subprocess.Popen(["unshare", "-rm", "sh", "-c", setup + " && exec %s -c %s" % (
        servers.BINARY, config)])
    try:
        text = reader.recv(9000).decode()
        assert re.fullmatch(r"<158>luafcgid2\[\d+\]: info: luafcgid2 .* started: .*", text)
    finally:
        program.terminate()
        program.wait()
        reader.close()


def test_empty_text_is_a_line(web):
    web.main("Log('') Log('after it')")
    web.wait_log("after it")
    assert [line for line in web.lines() if line.text == ""]


@pytest.mark.parametrize("name", ["LogFilePath", "logfile"])
def test_log_goes_where_the_configuration_says(daemon, scratch, name):
    path = os.path.join(scratch(), "own.log")
    d = daemon(**{"LogFilePath": None, name: path})
    d.main("Log('it is here')")
    wait_until(lambda: "it is here" in read(path), "the line")


def test_log_file_is_appended_to(daemon, scratch):
    path = os.path.join(scratch(), "own.log")
    with open(path, "w", encoding="ascii") as f:
        f.write("from before\n")
    daemon(LogFilePath=path).main("Log('new')")
    wait_until(lambda: "new" in read(path), "the line")
    assert read(path).startswith("from before\n")


def test_without_a_file_the_log_goes_to_standard_error(daemon):
    d = daemon(LogFilePath="")
    d.any_stderr = True
    d.main("Log('it is here')")
    wait_until(lambda: re.search(r"(?m)^\S+Z info worker \d+ /\S+: it is here$", d.stderr()),
               "the line")
    assert not os.path.exists(d.log_path)


def test_unwritable_log_file_is_said_on_standard_error_and_so_is_the_log(daemon, site):
    path = os.path.join(site.root, "no", "such", "directory", "log")
    d = daemon(LogFilePath=path)
    d.any_stderr = True
    d.main("Log('it is here')")
    wait_until(lambda: "it is here" in d.stderr(), "the line")
    assert path in d.stderr()


@pytest.mark.parametrize("level, some", [("error", False), ("warning", False), ("info", True),
                                         ("debug", True)])
def test_level_is_configured(daemon, level, some):
    d = daemon(LogLevel=level)
    d.main("Log('informative')")
    d.run("error('wrong')")
    d.expect_error("wrong")
    assert ("informative" in d.log()) == some


@pytest.fixture
def fifo(scratch):
    """A FIFO whose reader, which has it open, does not read."""
    path = os.path.join(scratch(), "fifo")
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    yield path, reader
    os.close(reader)


def read_until(reader, right):
    """Reads until the whole lines that have come are `right`, and returns those."""
    text = b""

    def come():
        nonlocal text
        try:
            text += os.read(reader, 1 << 20)
        except BlockingIOError:
            pass
        return right(text[:text.rfind(b"\n") + 1].decode().splitlines())
    wait_until(come, "what the log is to have: ...%r" % text[-200:])
    return text[:text.rfind(b"\n") + 1].decode().splitlines()


def test_log_whose_reader_stalls_stops_no_worker(daemon, fifo):
    """Lines wait in their order; what is too much is counted."""
    path, reader = fifo
    d = daemon(LogFilePath=path, WorkerThreads=2)
    page = d.script("function main() for i = 1, 100 do Log(Env.QUERY_STRING, ' ', i, "
                    "('x'):rep(1000)) end return 'fine' end")
    for i in range(10):
        assert d.get(page, str(i)).text == "fine"

    def written(lines):
        return [tuple(map(int, found)) for line in lines
                for found in re.findall(r": (\d+) (\d+)x{1000}$", line)]

    def lost(lines):
        return sum(int(found) for line in lines
                   for found in re.findall(r"warning: (\d+) lines were lost", line))
    lines = read_until(reader, lambda lines: len(written(lines)) + lost(lines) >= 1000)
    numbers = written(lines)
    assert numbers == sorted(numbers) and len(numbers) + lost(lines) == 1000
    assert lost(lines) > 0 and len(numbers) > 200
    assert d.get(page, "11").text == "fine"
    read_until(reader, lambda lines: any(": 11 100x" in line for line in lines))


def test_log_whose_reader_stalls_does_not_stop_the_end(daemon, fifo):
    path, _ = fifo
    d = daemon(LogFilePath=path, WorkerThreads=2)
    assert d.main("for i = 1, 100 do Log(('x'):rep(1000)) end return 'fine'").text == "fine"
    d.process.terminate()
    assert d.wait() == 0


def test_full_disk_is_lines_lost_and_no_more(daemon):
    d = daemon(LogFilePath="/dev/full")
    assert d.main("for i = 1, 100 do Log('x') end return 'fine'").text == "fine"


def test_a_file_that_is_removed_is_made_anew(daemon):
    d = daemon()
    os.remove(d.log_path)
    d.wait_log("a log file was removed, so the logs were opened again", "warning", since=0)
    d.main("Log('here')")
    d.wait_log("here", since=0)


def test_a_directory_that_vanishes_leaves_the_log_to_standard_error(daemon, scratch):
    directory = scratch() + "/logs"
    os.mkdir(directory)
    d = daemon()
    d.any_stderr = True
    d.write_config(LogFilePath=directory + "/log")
    d.signal(signal.SIGHUP)
    wait_until(lambda: "configuration" in read(directory + "/log"), "the log to be there")
    page = d.script("function main() Log('said ' .. Env.QUERY_STRING) return 'fine' end")
    assert d.get(page, "1").text == "fine"
    wait_until(lambda: "said 1" in read(directory + "/log"), "the line")
    vanish(directory)
    wait_until(lambda: "cannot be reopened" in d.stderr(), "the loss to be said")
    assert d.get(page, "2").text == "fine"
    wait_until(lambda: "said 2" in d.stderr(), "the line on standard error")
    os.mkdir(directory)
    d.signal(signal.SIGUSR1)
    wait_until(lambda: "log reopened" in read(directory + "/log"), "the log to be opened again")
    assert d.get(page, "3").text == "fine"
    wait_until(lambda: "said 3" in read(directory + "/log"), "the line in the new file")


def test_a_line_torn_by_a_full_disk_is_not_glued_to_the_next(daemon):
    """A largest file size stands in for the disk; then there is room again."""
    d = daemon()
    page = d.script("function main() Log(Env.QUERY_STRING) end")
    d.get(page, query="first")
    d.wait_log("first")
    size = os.path.getsize(d.log_path)
    hard = resource.prlimit(d.pid, resource.RLIMIT_FSIZE, (size + 10, resource.RLIM_INFINITY))[1]
    d.get(page, query="torn")
    wait_until(lambda: os.path.getsize(d.log_path) == size + 10, "a part of the line")
    resource.prlimit(d.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, hard))
    d.get(page, query="next")
    # The log may tell of the lost line only after that.
    wait_until(lambda: ": next\n" in read(d.log_path), "the next line")
    torn, after = read(d.log_path)[size:].split("\n", 1)
    assert len(torn) == 10
    assert all(re.match(r"\d{4}-\d\d-\d\dT", line) for line in after.splitlines())
    os.truncate(d.log_path, 0)  # or what is torn would not pass for a log
