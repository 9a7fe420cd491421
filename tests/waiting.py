"""Waiting for a condition, with a deadline."""

import time


def wait_until(condition, what, timeout=60):
    """Calls `condition` until it gives something true, and returns that. After `timeout`
    seconds the assertion fails that there would be `what`."""
    deadline = time.monotonic() + timeout
    while True:
        got = condition()
        if got:
            return got
        assert time.monotonic() < deadline, "waited %d s for %s" % (timeout, what)
        time.sleep(0.005)
