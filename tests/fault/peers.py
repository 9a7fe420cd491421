"""Peers of the daemon, healthy and otherwise, and what is looked at afterwards."""

import datetime
import os
import re
import resource
import struct
import threading
import time

import fastcgi
from fastcgi import GET_VALUES, STDIN, head, pairs, record
from servers import PATIENCE, SANITIZER, wait_until

HEALTHY = "function main() return 'healthy ' .. Env.QUERY_STRING end"
CANARY = """
function main()
    local file = assert(io.open(Dir() .. '/sings', 'w'))
    file:write('x')
    file:close()
    return 'ran'
end"""
# Writes more than any socket takes.
LARGE = "function main() for i = 1, 256 do Send(('0123456789abcdef'):rep(4096)) end end"
LARGE_SIZE = 256 * 65536


# -- the healthy one --

def page(site, name="healthy.lua", source=HEALTHY):
    """Writes a script unless it is there; returns its name."""
    if not os.path.exists(site.path(name)):
        site.write(name, source)
    return name


def params(daemon, query="", name="healthy.lua", source=HEALTHY):
    """The few parameters that a request needs."""
    return {"SCRIPT_FILENAME": daemon.site.path(page(daemon.site, name, source)),
            "QUERY_STRING": query}


def healthy(daemon):
    """Serves one request; returns how long that took, in seconds."""
    began = time.monotonic()
    response = fastcgi.request(daemon.address, params(daemon, "one"), timeout=PATIENCE)
    assert (response.status, response.text, response.ended) == (200, "healthy one", True), response
    return time.monotonic() - began


def whole(daemon, query="", keep=True, request_id=1, body=b"", **script):
    """The bytes of a healthy request."""
    return (head(params(daemon, query, **script), keep, request_id) +
            fastcgi.stream(STDIN, body, request_id))


def serve(connection, daemon, query="", keep=True, request_id=1):
    """A healthy request on a connection that is there already."""
    connection.send(whole(daemon, query, keep, request_id))
    check(connection.response(request_id), query)


def check(response, query=""):
    assert (response.status, response.text, response.ended) == \
        (200, "healthy " + query, True), response


class Canary:
    """A script that no peer of the test may get to run. It is known to be able to."""

    def __init__(self, daemon):
        self.site, self.name = daemon.site, page(daemon.site, "canary.lua", CANARY)
        self.file = self.site.path("sings")
        assert daemon.get(self.name).text == "ran" and os.path.exists(self.file)
        os.remove(self.file)
        self.params = {"SCRIPT_FILENAME": self.site.path(self.name), "QUERY_STRING": ""}
        self.request = head(self.params, keep=True) + record(STDIN, b"")

    def check(self):
        assert not os.path.exists(self.file), "the canary sings"


# -- what the daemon does about the others --

FAULTS_PER_SECOND = 5  # of the peers', that the log speaks of; more say nothing


def logged_at(line):
    """Seconds since the epoch."""
    when = datetime.datetime.strptime(line.time, "%Y-%m-%dT%H:%M:%S.%fZ")
    return when.replace(tzinfo=datetime.timezone.utc).timestamp()


def refused(daemon, data, reason, again=False):
    """The peer that sends this is hung up on, without an answer, and the log says why,
    unless it has just spoken of so many. With `again` the peer tries until it does."""
    def attempt():
        seen, began = len(daemon.log()), time.time()
        with daemon.connect() as c:
            c.send(data)
            assert c.is_closed(PATIENCE), "it was not hung up on"
        said = {line.text for line in complaints(daemon.lines(seen))}
        assert said <= {"request refused: " + reason}, said
        if said or again:
            return said
        recent = [line for line in daemon.lines(0) if logged_at(line) > began - 1.1]
        assert len(recent) >= FAULTS_PER_SECOND, "not in the log: " + reason
        return True
    wait_until(attempt, "%r in the log" % reason)


# What a daemon says of a machine that has stood still for a moment: a worker that waits for
# the disk of a log is one that waits.
LATE = re.compile(r"a look for changed files took|changed files are found within a second|"
                  r"the queue grows|the queue is empty again|requests (do not )?wait")


def complaints(lines):
    """Those above the level of information that are not about the machine."""
    return [line for line in lines
            if line.level in ("warning", "error") and not LATE.match(line.text)]


def warnings(daemon):
    """What the log complains of since the test began."""
    return complaints(daemon.lines())


def read_to_end(connection, timeout=PATIENCE):
    """Takes in whatever comes, in whole records, until the daemon has closed."""
    kinds = []
    while True:
        got = connection.read_record(timeout)
        if got is None:
            return kinds
        kinds.append(got[0])


def connections(daemon):
    """How many the daemon has open."""
    directory, count = "/proc/%d/fd" % daemon.pid, -1  # the listening socket
    for fd in os.listdir(directory):
        try:
            count += os.readlink(os.path.join(directory, fd)).startswith("socket:")
        except FileNotFoundError:
            pass
    return count


def wait_idle(daemon):
    wait_until(lambda: connections(daemon) == 0, "every connection to be closed")


def cpu(daemon):
    """Seconds of processor time, used by now."""
    with open("/proc/%d/stat" % daemon.pid, encoding="ascii") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Idling:
    """What happens inside leaves the daemon nearly idle: nothing spins."""

    def __init__(self, daemon):
        self.daemon = daemon

    def __enter__(self):
        self.used, self.began = cpu(self.daemon), time.monotonic()

    def __exit__(self, kind, *_):
        if kind is None:
            used, took = cpu(self.daemon) - self.used, time.monotonic() - self.began
            assert used <= took * (0.6 if SANITIZER else 0.3) + 0.05, \
                "%.2f s of processor time in %.2f s" % (used, took)


def limit_descriptors(daemon, count):
    """Returns the limits before."""
    _, hard = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
    return resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (count, hard))


def highest_descriptor(daemon):
    return max(int(fd) for fd in os.listdir("/proc/%d/fd" % daemon.pid))


# -- values --

def ask(*names):
    """An FCGI_GET_VALUES record."""
    return record(GET_VALUES, pairs([(name, "") for name in names]), 0)


def unpair(data):
    """Name-value pairs, as text."""
    found, at = [], 0

    def length():
        nonlocal at
        n, size = data[at], 1
        if n & 0x80:
            n, size = struct.unpack_from(">I", data, at)[0] & 0x7fffffff, 4
        at += size
        return n
    while at < len(data):
        name, value = length(), length()
        found.append((data[at:at + name].decode(), data[at + name:at + name + value].decode()))
        at += name + value
    return found


def values(connection):
    """The answer to an FCGI_GET_VALUES, which is the next record."""
    kind, request_id, content = connection.read_record()
    assert (kind, request_id) == (fastcgi.GET_VALUES_RESULT, 0)
    found = unpair(content)
    assert len(dict(found)) == len(found), found
    return dict(found)


# -- several at once --

class Peer(threading.Thread):
    """A thread whose failure is the test's."""

    def __init__(self, action, *args):
        super().__init__(daemon=True)
        self.action, self.args, self.failure, self.result = action, args, None, None
        self.start()

    def run(self):
        try:
            self.result = self.action(*self.args)
        except BaseException as failure:
            self.failure = failure

    def finish(self, timeout=2 * PATIENCE):
        self.join(timeout)
        assert not self.is_alive(), "%s did not end" % self.action
        if self.failure:
            raise self.failure
        return self.result


def trickle(connection, data, done=lambda: False):
    """One byte a millisecond, until all is sent, or the daemon has had enough."""
    for at in range(len(data)):
        if done() or connection.broken:
            return
        connection.send(data[at:at + 1])
        time.sleep(0.001)
