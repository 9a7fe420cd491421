"""php-fpm's status as a strict reader has it, who takes nothing for granted: the readers
that there are (exporters, Metricbeat, Telegraf, Zabbix) want parts of this."""

import concurrent.futures
import json
import re
import threading

import pytest

import fastcgi
import phpfpm
from servers import wait_until

NATURAL, TEXT, NUMBER = "natural", "text", "number"
POOL = [("pool", TEXT), ("process manager", TEXT), ("start time", NATURAL),
        ("start since", NATURAL), ("accepted conn", NATURAL), ("listen queue", NATURAL),
        ("max listen queue", NATURAL), ("listen queue len", NATURAL),
        ("idle processes", NATURAL), ("active processes", NATURAL),
        ("total processes", NATURAL), ("max active processes", NATURAL),
        ("max children reached", NATURAL), ("slow requests", NATURAL), ("memory peak", NATURAL)]
PROCESS = [("pid", NATURAL), ("state", TEXT), ("start time", NATURAL), ("start since", NATURAL),
           ("requests", NATURAL), ("request duration", NATURAL), ("request method", TEXT),
           ("request uri", TEXT), ("content length", NATURAL), ("user", TEXT), ("script", TEXT),
           ("last request cpu", NUMBER), ("last request memory", NATURAL)]
STATES = {"Idle", "Running", "Finishing", "Reading headers", "Getting request information",
          "Ending", "Info"}
DATE = r"\d\d/[A-Z][a-z][a-z]/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}"


def once(pairs):
    """An object none of whose keys is there twice."""
    keys = [key for key, _ in pairs]
    assert len(set(keys)) == len(keys), keys
    return dict(pairs)


def take(thing, fields):
    """Its first keys are these, with values of these kinds."""
    assert list(thing)[:len(fields)] == [name for name, _ in fields]
    for name, kind in fields:
        value = thing[name]
        assert not isinstance(value, bool)
        if kind == TEXT:
            assert isinstance(value, str) and "\0" not in value, name
        elif kind == NATURAL:
            assert isinstance(value, int) and 0 <= value < 1 << 63, (name, value)
        else:
            assert isinstance(value, (int, float)) and 0 <= value, (name, value)


def read_json(text, full, snapshot=True):
    """Checks it, and returns it. All of a snapshot was so at one moment; php-fpm's is none."""
    def constant(name):
        raise AssertionError(name + " is not JSON")
    status = json.loads(text, object_pairs_hook=once, parse_constant=constant)
    assert "\n" not in text.strip()  # php-fpm's is one line
    take(status, POOL)
    assert status["process manager"] in ("static", "dynamic", "ondemand")
    assert status["idle processes"] + status["active processes"] == status["total processes"]
    assert status["active processes"] <= status["max active processes"]
    assert status["listen queue"] <= status["max listen queue"]
    if full:
        assert list(status)[len(POOL)] == "processes"
        for process in status["processes"]:
            take(process, PROCESS)
            assert process["state"] in STATES
        running = [p for p in status["processes"] if p["state"] == "Running"]
        if snapshot:
            assert len(running) == status["active processes"]
            assert len({p["pid"] for p in status["processes"]}) == status["total processes"]
    return status


def read_text(text):
    """The pool and the processes, each a dict, as readers of lines have them."""
    blocks = [block.strip("\n").split("\n") for block in text.split("*" * 24)]
    parts = []
    for block, fields in zip(blocks, [POOL] + [PROCESS] * len(blocks)):
        pairs = [line.partition(":")[::2] for line in block]
        part = once([(key, value.strip()) for key, value in pairs[:len(fields)]])
        names = [name.replace("uri", "URI") for name, _ in fields]
        assert [key for key, _ in pairs][:len(fields)] == names
        for name, kind in fields:
            value = part[name.replace("uri", "URI")]
            right = (DATE if name == "start time" else r"\d+" if kind == NATURAL else
                     r"\d+\.\d+|0|\d+" if kind == NUMBER else r".+")
            assert re.fullmatch(right, value), (name, value)
        for line, (name, _) in zip(block, fields):  # values stand in one column
            assert line[:22].rstrip(" ") == name.replace("uri", "URI") + ":", line
        parts.append(part)
    return parts[0], parts[1:]


@pytest.fixture
def status(daemon, scratch):
    own = scratch() + "/status"
    d = daemon(StatusListen=own, WorkerThreads=3, WorkerThreadsMax=6)
    d.any_errors = True
    d.wait_log(" started: ")  # and listens there, too
    return d, lambda query="": fastcgi.request(own, d.site.params("/", query=query)).text


def load(d, stop):
    pages = [d.script("function main() Send('x') end"), d.script("function main() error('e') end"),
             d.script("function main() os.execute('sleep 0.01') end"),
             d.script("function main() Sleep(0.01) end")]
    hostile = ["/\"\\\n<i>\x01\x7f", "/\u00e4\u20ac\U0001f600", "/" + "a" * 3000, "/: a\t: b", ""]

    def client(number):
        count = 0
        while not stop.is_set():
            d.get(pages[(number + count) % 4], REQUEST_URI=hostile[count % 5],
                  REMOTE_USER=hostile[count % 3])
            count += 1
        return count
    return client


def test_a_strict_reader_reads_each_form_under_load(status):
    d, ask = status
    stop = threading.Event()
    client = load(d, stop)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(client, number) for number in range(8)]
        try:
            for _ in range(30):
                read_json(ask("json"), False)
                read_json(ask("json&full"), True)
                read_text(ask("full"))
                read_text(ask(""))
        finally:
            stop.set()
        counted = sum(job.result() for job in jobs)
    seen = read_json(ask("json&full"), True)
    assert seen["accepted conn"] == counted
    pool_text, processes = read_text(ask("full"))
    assert pool_text["accepted conn"] == str(counted)
    assert len(processes) == int(pool_text["total processes"])


def test_the_same_reader_reads_php_fpm(daemon, scratch):
    """Else it would ask for what is not php-fpm's."""
    with phpfpm.status(scratch(), daemon().site, children=2) as ask:
        def whole(query):
            text = ask(query)
            return None if text is None or "(null)" in text else text  # a child has not begun
        text = wait_until(lambda: whole("json&full"), "php-fpm")
        newer = [field for field in POOL if field[0] == "memory peak" and "memory peak" not in text]
        for field in newer:  # php-fpm 8.4 has it
            POOL.remove(field)
        try:
            read_json(text, True, snapshot=False)
            read_text(wait_until(lambda: whole("full"), "all its children"))
        finally:
            POOL.extend(newer)
