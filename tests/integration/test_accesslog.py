"""The access log: a line for each request that was answered, and what is lost of it."""

import os
import re
import signal
import subprocess
import threading
import time

import pytest

from servers import BINARY, BLOCK, lua, read, vanish, wait_until

LINE = re.compile(r'127\.0\.0\.1 - - \[\d\d/[A-Z][a-z][a-z]/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] '
                  r'"GET (\S+) HTTP/1\.1" (\d{3}) (\d+|-) "-" "test" (\d+) ([0-9a-f]{32})')


@pytest.fixture
def access(daemon, scratch):
    """A daemon with an access log; `lines(n)` waits for n lines."""
    path = os.path.join(scratch(), "access.log")

    def start(form=None, **options):
        if form is not None:
            options["AccessLogFormat"] = form
        d = daemon(**{"AccessLogPath": path, **options})
        d.access_path = path

        def lines(count):
            wait_until(lambda: read(path).count("\n") >= count, "%d lines" % count)
            return read(path).splitlines()
        d.access_lines = lines
        return d
    return start


def lost(d):
    return int(re.search(r"access log lines lost: (\d+)", d.get("/status").text).group(1))


def test_the_default_is_the_combined_format_with_duration_and_id(access):
    d = access()
    page = d.script("function main() Send('hello') end")
    d.get(page, query="a=1")
    d.access_lines(1)  # it comes after the response, and so may come after the next one
    d.get(page, HTTP_USER_AGENT="test")
    d.access_lines(2)
    d.get("none.lua")
    first, second, missing = map(LINE.fullmatch, d.access_lines(3))
    assert first.group(1, 2, 3) == ("/%s?a=1" % page, "200", "5")
    assert second.group(1) == "/" + page and second.group(5) != first.group(5)
    assert missing.group(2) == "404" and int(missing.group(3)) > 0
    assert int(first.group(4)) < 10_000_000


def test_each_directive_of_a_request(access):
    d = access("%m %U %q %>s %B %R %P %{tid}P %{X-Own}i %{X-Set}o %{X_PARAM}e %{Etag}o")
    page = d.script("""function main() RespStatus(201) Header("X-Set", "a b")
                    Send("123") Send(Info.Thread) end""")
    worker = d.get(page, query="q=2", HTTP_X_OWN='say "x"', X_PARAM="p").text[3:]
    assert d.access_lines(1) == ['GET /%s ?q=2 201 %d %s %d %s say \\"x\\" a b p -' % (
        page, 3 + len(worker), d.site.path(page), d.pid, worker)]


def test_duration_memory_and_id_are_those_of_the_request(access):
    d = access("%D %{ms}T %T %M %L %Q")
    page = d.script("""function main()
        local s = ("x"):rep(3000000) local t = os.clock() while os.clock() < t + 0.1 do end
        Send(Env.REQUEST_ID) end""")
    name = d.get(page).text
    micro, milli, seconds, peak, ident, queued = d.access_lines(1)[0].split()
    # The clock is that of all threads.
    assert 50_000 <= int(micro) and int(milli) == int(micro) // 1000
    assert int(seconds) == int(micro) // 1_000_000
    assert 3_000_000 <= int(peak) < 64 << 20 and ident == name
    assert int(queued) < 10_000


def test_a_request_that_waited_for_a_worker_says_how_long(access):
    d = access("%U %Q", WorkerThreads=1, WorkerThreadsMax=1)
    held = d.hold(d.script("function main() Flush() %s end" % BLOCK))
    late = d.open(d.script("function main() Send('late') end"), "GET").end()
    begun = time.monotonic()
    wait_until(lambda: time.monotonic() > begun + 1, "it to have waited for long")
    held.end().response()
    assert late.response().text == "late"
    first, second = [int(line.split()[1]) for line in d.access_lines(2)]
    assert second >= 500 and first < second
    held.close()
    late.close()


def test_every_request_of_many_clients_has_a_line(access):
    d = access("%s %{X-Number}i")
    page = d.script("function main() if Env.HTTP_X_NUMBER:sub(-1) == '7' then error('x') end end")
    d.any_errors = True

    def ask(client):
        for i in range(25):
            d.get(page, HTTP_X_NUMBER="%d-%d" % (client, i))
    threads = [threading.Thread(target=ask, args=(n,)) for n in range(16)]
    for t in threads:
        t.start()
    d.reload()
    for t in threads:
        t.join()
    expected = sorted("%d %d-%d" % (500 if i % 10 == 7 else 200, n, i)
                      for n in range(16) for i in range(25))
    assert sorted(d.access_lines(400)) == expected


def test_a_wrong_directive_is_named(scratch):
    config = os.path.join(scratch(), "config.lua")
    with open(config, "w", encoding="ascii") as f:
        f.write("AccessLogFormat = %s" % lua("%h %{min}T %s"))
    done = subprocess.run([BINARY, "-t", "-c", config], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 1
    assert done.stderr == config + ": AccessLogFormat: %{min}T is no directive\n"


def test_it_follows_rotation_reload_and_copytruncate(access, scratch):
    d = access("%U")
    page = d.script("function main() end")
    d.get(page)
    d.access_lines(1)
    os.rename(d.access_path, d.access_path + ".1")
    d.signal(signal.SIGUSR1)
    d.wait_log("log reopened")
    d.get(page)
    assert len(d.access_lines(1)) == 1 and read(d.access_path + ".1").count("\n") == 1
    os.truncate(d.access_path, 0)
    d.get(page)
    assert d.access_lines(1) == ["/" + page]
    other = os.path.join(scratch(), "other.log")
    d.reload(AccessLogPath=other)
    d.get(page)
    wait_until(lambda: read(other) == "/%s\n" % page, "the line in the other file")
    d.reload(AccessLogPath="")
    d.get(page)
    d.reload(AccessLogPath=d.access_path)
    d.get(page)
    assert len(d.access_lines(2)) == 2


def test_a_full_disk_costs_lines_which_are_counted_and_said(access):
    d = access("%U", AccessLogPath="/dev/full")
    page = d.script("function main() return 'fine' end")
    for _ in range(5):
        assert d.get(page).text == "fine"
    line = d.wait_log(r"\d lines of the access log were lost: No space left", "warning")
    assert line.request is None
    d.reload(AccessLogPath=d.access_path)
    other = d.script("function main() return 'fine' end")
    d.get(other)
    # What came before, and was not written yet, may stand there, too.
    wait_until(lambda: "/" + other in read(d.access_path).splitlines(), "the line")


def test_a_reader_that_stops_costs_lines_which_are_counted_and_said(access, scratch):
    fifo = os.path.join(scratch(), "fifo")
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        d = access("%{X-Long}i", AccessLogPath=fifo, WorkerThreads=1, WorkerThreadsMax=1)
        page = d.script("function main() return 'fine' end")
        for _ in range(120):  # x 6000 bytes: more than the pipe, what is written, and a share
            assert d.get(page, HTTP_X_LONG="x" * 6000).text == "fine"
        d.wait_log(r"lines of the access log were lost: its file does not take them", "warning")
    finally:
        os.close(reader)


def test_what_cannot_be_opened_is_said_and_the_service_goes_on(access, scratch):
    path = os.path.join(scratch(), "no", "such", "access.log")
    d = access("%U", AccessLogPath=path)
    d.any_stderr = True
    page = d.script("function main() return 'fine' end")
    assert d.get(page).text == "fine"
    d.wait_log("AccessLogPath: %s cannot be opened" % re.escape(path), "warning")
    os.makedirs(os.path.dirname(path))
    d.signal(signal.SIGUSR1)
    d.wait_log("log reopened")
    assert d.get(page).text == "fine"
    wait_until(lambda: read(path).endswith("/%s\n" % page), "the line")


def test_a_directory_that_vanishes_costs_lines_which_are_counted_and_said(access, scratch):
    directory = os.path.join(scratch(), "logs")
    os.mkdir(directory)
    path = directory + "/access.log"
    d = access("%U", AccessLogPath=path, StatusPath="/status")
    page = d.script("function main() return 'fine' end")
    d.get(page)
    wait_until(lambda: read(path) == "/%s\n" % page, "the line")
    vanish(directory)
    d.wait_log("AccessLogPath: .*cannot be reopened .*: its lines are lost", "warning")
    d.wait_log("a log file was removed, so the logs were opened again", "warning")
    for _ in range(3):
        assert d.get(page).text == "fine"
    d.wait_log(r"\d lines of the access log were lost: No such file", "warning")
    wait_until(lambda: lost(d) >= 3, "all to be counted")  # this asks, and so loses, too
    os.mkdir(directory)
    d.signal(signal.SIGUSR1)
    wait_until(lambda: os.path.exists(path), "the file")

    def is_in_the_file():
        """What another worker answered may stand behind it."""
        d.get(page)
        return "/" + page in read(path).splitlines()
    wait_until(is_in_the_file, "a line in the new file")


def test_a_file_that_is_removed_is_made_anew(access):
    d = access("%U")
    page = d.script("function main() return 'fine' end")
    d.get(page)
    d.access_lines(1)
    os.remove(d.access_path)
    d.get(page)
    wait_until(lambda: os.path.exists(d.access_path), "the file")
    d.wait_log("a log file was removed, so the logs were opened again", "warning")
    d.get(page)
    assert d.access_lines(2) == 2 * ["/" + page]


def test_the_last_lines_are_there_after_a_stop(access):
    d = access("%U")
    page = d.script("function main() end")
    d.get(page)
    d.stop()
    assert read(d.access_path) == "/%s\n" % page
