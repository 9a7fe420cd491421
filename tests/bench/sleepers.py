"""Scripts that wait in C, and scripts that compute for ever, and what a page beside them is
to wait. With the defaults of the configuration."""

import collections
import time

import fcgi
import slow
from beside import PAUSE, longest_wait, threads

SLEEPING = 60       # scripts that wait at once
COMPUTING = 4       # scripts that compute at once: WorkerThreads
SECONDS = 20        # that are measured

Waiting = collections.namedtuple("Waiting", "begin longest workers computing slow")


def hold(server, site, script, count):
    """So many requests whose scripts have begun, and the seconds until then."""
    before = time.monotonic()
    message = fcgi.request(fcgi.parameters(site, script), False)
    held = [fcgi.Connection(server.address, 40).send(message) for _ in range(count)]
    for c in held:
        c.read_until("inside")
    return held, time.monotonic() - before


def most_threads(server, site, seconds):
    """How many threads there were, at most, while a page waits for those that compute."""
    message = fcgi.request(fcgi.parameters(site, "/hello.lua"), False)
    most, end = 0, time.monotonic() + seconds
    with fcgi.Connection(server.address).send(message):
        while time.monotonic() < end:
            most = max(most, threads(server))
            time.sleep(PAUSE)
    return most


def close(held):
    for c in held:
        c.close()


def measure(park, say):
    """Milliseconds until all that wait have begun, and that a page beside them takes at
    most; threads more than at first, beside them and beside those that compute; and what
    slow.py measures."""
    say(f"{SLEEPING} scripts that wait, {SECONDS} s")
    try:
        server = park.daemon("sleeping")
        longest_wait(server, park.site, 0.2)  # the script gets loaded
        before = threads(server)
        held, begin = hold(server, park.site, "/sleeping.lua", SLEEPING)
        longest, most = longest_wait(server, park.site, SECONDS)
        workers = most - before
        close(held)
        park.stop_all()
        say(f"{COMPUTING} scripts that compute, {SECONDS} s")
        server = park.daemon("spinning")
        longest_wait(server, park.site, 0.2)
        before = threads(server)
        held, _ = hold(server, park.site, "/spinning.lua", COMPUTING)
        computing = most_threads(server, park.site, SECONDS) - before
        close(held)
    finally:
        park.stop_all()
    return Waiting(begin * 1e3, longest * 1e3, workers, computing, slow.measure(park, say))
