"""What it costs to be watched: hello with status, access log and slow log, to hello without.

The two run by turns, a second each, and each pair gives a ratio: what else the machine does
meanwhile slows down both. Each round starts both anew, as one process may be some percent
faster than the next one of the same program. The figure is the median of these ratios."""

import collections
import os
import statistics
import subprocess

import rows as rowlist
from servers import HERE, Failure

PAIRS = 4  # in each round
Watched = collections.namedtuple("Watched", "cpu rate")
Counting = collections.namedtuple("Counting", "alone beside shared")


def options(park, name):
    """The lines of a configuration that has all of it."""
    return "".join(f'{option} = "{park.path(name + suffix)}"\n' for option, suffix in (
        ("StatusListen", ".status"), ("AccessLogPath", ".access"), ("SlowLogPath", ".slow"))
    ) + 'StatusPath = "/status"\nSlowLogTime = 5\n'


def start(park):
    made = []
    for name, extra in (("plain", ""), ("watched", options(park, "watched"))):
        row = rowlist.Row(name, name, "lua", "fastcgi", True,
                          lambda park, _, name=name, extra=extra: park.daemon(name, extra),
                          ("hello",))
        made.append(row)
    rowlist.start(park, made, ["hello"])
    return made


def measure_round(park, sample):
    """`sample` takes a row, and returns what a second of requests for it came to."""
    plain, watched = start(park)
    ratios = []
    try:
        for row in (plain, watched):
            sample(row)  # the script gets loaded
        for i in range(PAIRS):
            pair = (plain, watched) if i % 2 else (watched, plain)
            got = {row.name: sample(row) for row in pair}
            ratios.append(Watched(*(getattr(got["watched"], f) / getattr(got["plain"], f)
                                    for f in Watched._fields)))
        with open(park.path("watched.access"), encoding="utf-8") as log:
            if not any("hello.lua" in line for line in log):
                raise Failure("the access log has no line")
    finally:
        park.stop_all()
    return ratios


def measure(park, rounds, sample, say):
    ratios = []
    for i in range(rounds):
        say(f"watched, round {i + 1} of {rounds}")
        ratios += measure_round(park, sample)
    return Watched(*(statistics.median(column) for column in zip(*ratios)))


def count(park):
    """Nanoseconds that a worker takes to count a request."""
    root = os.path.dirname(os.path.dirname(HERE))
    park.compile("counting", os.path.join(root, "daemon", "counters.c"), "-I" + root)
    done = subprocess.run([park.path("counting")], capture_output=True, text=True, check=True)
    return Counting(*map(float, done.stdout.split()))
