"""What a page is to wait beside other requests, and how many threads the daemon has."""

import os
import time

import fcgi
from servers import Failure

PAUSE = 0.01        # seconds between two pages


def threads(server):
    """Of the daemon alone, without the programs that its scripts run."""
    return len(os.listdir(f"/proc/{server.process.pid}/task"))


def longest_wait(server, site, seconds):
    """Seconds that a page took, at most, and how many threads there were, at most."""
    message = fcgi.request(fcgi.parameters(site, "/hello.lua"), False)
    worst, most, end = 0.0, 0, time.monotonic() + seconds
    while time.monotonic() < end:
        before = time.monotonic()
        if not fcgi.ask(server.address, message).endswith(b"hello world"):
            raise Failure("a page beside scripts that wait got a wrong answer")
        worst = max(worst, time.monotonic() - before)
        most = max(most, threads(server))
        time.sleep(PAUSE)
    return worst, most
