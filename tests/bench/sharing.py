"""Shared: what it costs, and whether a counter loses anything."""

import collections
import re
import statistics
import threading

import fcgi
from servers import Failure

THREADS = 8
TIMES = 10            # requests of each thread
STEPS = 125_000       # increments of each request; 10 million in all
ROUNDS = 5

Sharing = collections.namedtuple("Sharing", "get lost")


def ask(server, site, script, query=""):
    params = dict(fcgi.parameters(site, script), QUERY_STRING=query)
    with fcgi.Connection(server.address, 60) as c:
        text = fcgi.response(c.send(fcgi.request(params, False)))
    found = re.search(rb"\r\n\r\n(-?[0-9.]+)$", text)
    if not found:
        raise Failure(f"{script}: {text[:300]!r}")
    return float(found[1])


def count(server, site, failures):
    try:
        for _ in range(TIMES):
            ask(server, site, "/shared_count.lua", str(STEPS))
    except (Failure, OSError) as e:
        failures.append(e)


def lost(server, site):
    """Of 10 million increments by 8 threads at once."""
    failures = []
    threads = [threading.Thread(target=count, args=(server, site, failures))
               for _ in range(THREADS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if failures:
        raise Failure(str(failures[0]))
    return THREADS * TIMES * STEPS - ask(server, site, "/shared_count.lua", "0")


def measure(park, say):
    server = park.daemon("sharing", f"LuaMaxStates = {THREADS}\n", THREADS)
    try:
        say("Shared.get")
        cost = statistics.median(ask(server, park.site, "/shared_get.lua") for _ in range(ROUNDS))
        say("10 million times Shared.incr")
        return Sharing(cost, lost(server, park.site))
    finally:
        park.stop_all()
