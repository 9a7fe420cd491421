"""The slow log: where a script is that runs for longer than SlowLogTime."""

import os
import re
import signal
import threading

import pytest

from servers import read, vanish, wait_until

SPIN = "local t = os.clock() while os.clock() < t + %s do end"


def entry(d, last):
    """The log's lines of one entry, which are written one by one; `last` is in one of the
    last of them."""
    d.wait_log("slow: has run for", "warning")
    lines = [line for line in d.lines() if line.worker]
    first = next(i for i, line in enumerate(lines) if line.text.startswith("slow: "))

    def rest():
        found = []
        for line in [line for line in d.lines() if line.worker][first + 1:]:
            if not line.continues:
                break
            found.append(line.text)
        return found if any(last in text for text in found) else None
    return lines[first], wait_until(rest, "%s in the traceback" % last)


def test_a_slow_script_is_logged_once_with_where_it_is(daemon):
    d = daemon(SlowLogTime=0.2, WorkerThreads=1)
    page = d.script("""
        local function inner() %s end
        function main() inner() Send("done") end""" % (SPIN % "1.2"))
    assert d.get(page, query="a=1").text == "done"
    line, trace = entry(d, "%s:3:" % page)
    assert line.script == d.site.path(page) and line.worker == "1"
    assert re.match(r"slow: has run for \d+\.\d{3} s \(SlowLogTime\), memory \d+ KiB of 65536, "
                    r"\d+\.\d{3} s left", line.text)
    assert re.fullmatch(r', client: 127\.0\.0\.1, request: "GET /%s\?a=1", id: \w+' % page,
                        line.request)
    assert trace[0] == "stack traceback:"
    assert any("in upvalue 'inner'" in text or "'inner'" in text for text in trace)
    d.get(d.script("function main() end"))  # on a busy machine it may be slow, too
    assert len([line for line in d.lines() if line.text.startswith("slow: has run") and
                line.script == d.site.path(page)]) == 1


def test_a_script_that_is_stuck_in_c_is_said_to_be_so(daemon):
    d = daemon(SlowLogTime=0.2)
    page = d.script("""function main()
        os.execute("i=0; until [ -e %s ] || [ $i = 999 ]; do sleep 0.05; i=$((i + 1)); done")
        Send("done") end""" % d.site.path("go"))
    answers = []
    thread = threading.Thread(target=lambda: answers.append(d.get(page).text))
    thread.start()
    line, _ = entry(d, "%s:2:" % page)
    assert not answers, "it came while the script was stuck"
    d.site.write("go", "")
    thread.join()
    assert "is in a function written in C, called here" in line.text
    assert answers == ["done"]
    assert d.log().count("slow: has run") == 1


@pytest.mark.parametrize("wrap", ["%s", "pcall(function() %s end)",
                                  "coroutine.wrap(function() %s end)()",
                                  "string.gsub('x', 'x', function() %s end)"])
def test_the_script_goes_on_as_if_nothing_had_been(daemon, wrap):
    d = daemon(SlowLogTime=0.1, WorkerThreads=1)
    page = d.script("""function main()
        n = (n or 0) + 1
        %s
        Send(n) end""" % (wrap % (SPIN % "0.7")))
    assert [d.get(page).text for _ in range(2)] == ["1", "2"]
    wait_until(lambda: d.log().count("slow: has run") == 2, "two entries")


def test_waiting_is_not_slow(daemon):
    d = daemon(SlowLogTime=2)
    assert d.get(d.script("function main() Sleep(3.5) Send('x') end")).text == "x"
    assert "slow: " not in d.log()


def test_a_time_limit_still_ends_what_is_slow(daemon):
    d = daemon(SlowLogTime=0.2, RequestTimeout=1)
    assert d.get(d.script("function main() while true do end end")).status == 504
    d.expect_error("time limit exceeded")
    assert d.log().count("slow: has run") == 1


def test_it_has_a_file_that_follows_rotation_and_reload(daemon, scratch):
    path = os.path.join(scratch(), "slow.log")
    d = daemon(SlowLogTime=0.1, SlowLogPath=path)
    page = d.script("function main() %s end" % (SPIN % "0.6"))
    d.get(page, query="b='\"'")
    wait_until(lambda: read(path).endswith("\n\n"), "the entry")
    text = read(path)
    assert re.match(r'\S+Z worker \d+ %s\nclient: 127\.0\.0\.1, request: "GET /%s\?b=\'\\"\'", '
                    r"id: \w+\nslow: has run for .*\nstack traceback:\n\t" % (
                        re.escape(d.site.path(page)), page), text)
    assert "slow: " not in d.log()
    os.rename(path, path + ".1")
    d.signal(signal.SIGUSR1)
    d.wait_log("log reopened")
    d.get(page)
    wait_until(lambda: "slow: " in read(path), "the entry in the new file")
    d.reload(SlowLogPath="")
    d.get(page)
    d.wait_log("slow: has run for")


def test_a_full_disk_costs_lines_which_are_counted_and_said(daemon):
    d = daemon(SlowLogTime=0.1, SlowLogPath="/dev/full", StatusPath="/status")
    page = d.script("function main() %s return 'fine' end" % (SPIN % "0.4"))
    assert d.get(page).text == "fine"
    d.wait_log(r"\d lines of the slow log were lost: No space left", "warning")

    def lost():
        return int(re.search(r"slow log lines lost: +(\d+)", d.get("/status").text).group(1))
    wait_until(lambda: lost() >= 5, "all lines of the entry to be counted")
    assert "slow: " not in d.log()


def test_a_directory_that_vanishes_leaves_the_entries_to_the_log(daemon, scratch):
    directory = os.path.join(scratch(), "logs")
    os.mkdir(directory)
    d = daemon(SlowLogTime=0.1, SlowLogPath=directory + "/slow.log")
    page = d.script("function main() %s return 'fine' end" % (SPIN % "0.4"))
    assert d.get(page).text == "fine"
    wait_until(lambda: read(directory + "/slow.log").endswith("\n\n"), "the entry")
    vanish(directory)
    d.wait_log("SlowLogPath: .*cannot be reopened .*: its entries go to the log", "warning")
    assert d.get(page).text == "fine"
    d.wait_log("slow: has run for", "warning")


def test_what_cannot_be_opened_goes_to_the_log(daemon, scratch):
    d = daemon(SlowLogTime=0.1, SlowLogPath=os.path.join(scratch(), "no", "slow.log"))
    d.get(d.script("function main() %s end" % (SPIN % "0.6")))
    d.wait_log("SlowLogPath: .* cannot be opened")
    d.wait_log("slow: has run for")
