"""What no script may do harm to, and how to look at it: for the tests of limits."""

import collections
import contextlib
import os
import re
import time

import pytest

from servers import PATIENCE, SANITIZER, read, wait_until

# Seconds of RequestTimeout: enough for a healthy request on a busy machine.
LIMIT = 1 if SANITIZER else 0.4
# A late worker is noticed within a quarter of its limit; the rest is for the machine.
LATEST = LIMIT * 1.25 + (20 if SANITIZER else 10)

OWN_MEMORY = pytest.mark.not_under("address", "thread",
                                   reason="a sanitizer's memory is not the daemon's")

# Its time is its own, so that on a busy machine it is not ended by a short RequestTimeout.
STEADY = "local n = 0 function main() TimeLimit(60) n = n + 1 return n end"


def check_page(response, status):
    """A whole error page."""
    assert response.status == status and response.ended, response
    assert response.header("Content-Type").startswith("text/html")
    assert response.all("Content-Length") == [str(len(response.body))]
    return response.text


def first(daemon, page):
    """What a healthy script answers to the first request of a state that is to be made. On a
    busy machine that may take longer than a short RequestTimeout. Then it is no fault of the
    daemon's, and another state is made."""
    def serve():
        began = time.monotonic()
        response = daemon.get(page)
        if response.status != 504:
            return [response.text]
        took = time.monotonic() - began
        assert took >= 0.9 * daemon.options.get("RequestTimeout", 30), "504 after %.2f s" % took
        daemon.expect_error(r" %s: .*time limit exceeded" % re.escape(daemon.site.path(page)))
        return None
    return wait_until(serve, "%s to be served in time" % page)[0]


def status_field(daemon, name):
    return re.search(r"(?m)^%s:\s*(.*)$" % name, read("/proc/%d/status" % daemon.pid)).group(1)


def threads(daemon, name=None):
    return daemon.threads(name)


def descriptors(daemon):
    """What each open descriptor is, but for connections, and for the files in /proc that are
    opened for a moment to see how large the process is, what its threads do, and how many
    clients wait to be accepted."""
    return sorted(link for link in daemon.descriptors() if not link.startswith("socket:") and
                  not link.endswith(("/statm", "/stat", "/net/unix")))


def lasting_descriptors(daemon):
    """Those of them that stay. A script may just be looked at: what is open for a moment is
    not there at every look."""
    looks = collections.Counter(descriptors(daemon))
    for _ in range(4):
        time.sleep(0.003)
        looks &= collections.Counter(descriptors(daemon))
    return sorted(looks.elements())


def holds_only(daemon, before):
    """Whether the descriptors are those of before. A script that was just read then, for
    longer than usual on a busy machine, need not be."""
    now, before = collections.Counter(descriptors(daemon)), collections.Counter(before)
    return not now - before and all(link.endswith(".lua") for link in before - now)


def children(daemon):
    """Process ids of all children, of whichever thread."""
    found = []
    for task in os.listdir("/proc/%d/task" % daemon.pid):
        found += read("/proc/%d/task/%s/children" % (daemon.pid, task)).split()
    return found


def process_state(daemon):
    """What belongs to the whole process, and is none of a script's business."""
    root = "/proc/%d/" % daemon.pid
    return {"directory": os.readlink(root + "cwd"), "umask": status_field(daemon, "Umask"),
            "environment": read(root + "environ"),
            "ignored signals": status_field(daemon, "SigIgn"),
            "user": status_field(daemon, "Uid"), "group": status_field(daemon, "Gid")}


@contextlib.contextmanager
def unharmed(daemon):
    """Whatever is done inside, another script's state lives on, and so do the process, its
    threads and descriptors; no child is left. For a daemon of one worker, which serves
    one request after the other by the same state."""
    idle_threads = daemon.idle_threads()
    steady = daemon.script(STEADY)
    assert [first(daemon, steady), daemon.get(steady).text] == ["1", "2"]
    state, open_files, pid = process_state(daemon), lasting_descriptors(daemon), daemon.pid
    yield
    for expected in ("3", "4"):
        response = daemon.get(steady)
        assert (response.status, response.text) == (200, expected), response
    assert daemon.running() and daemon.pid == pid
    wait_until(lambda: process_state(daemon) == state, "the process to be as it was: %s" % state)
    wait_until(lambda: threads(daemon) == idle_threads, "there to be %d threads" % idle_threads)
    wait_until(lambda: not children(daemon), "the script's children to end")
    wait_until(lambda: holds_only(daemon, open_files),
               "descriptors to be as they were: %s, and not %s" % (
                   open_files, descriptors(daemon)))


@contextlib.contextmanager
def at_the_limit():
    """The time that passes inside is that of the limit, not less and not much more."""
    began = time.monotonic()
    yield
    took = time.monotonic() - began
    assert LIMIT * 0.9 <= took <= LATEST, "%.2f s" % took


COUNTING = """
{prelude}
n = 0
function main(env, con)
    n = n + 1
    if Env.QUERY_STRING == "bad" then
        {code}
    end
    return n
end
"""


def counting(daemon, code, prelude=""):
    """A script that counts its requests, and when asked for it does `code` first."""
    return daemon.script(COUNTING.format(prelude=prelude, code=code))


def patience():
    return PATIENCE
