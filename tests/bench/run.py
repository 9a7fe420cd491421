"""Measures luafcgid2 beside its floor and its neighbours, through nginx, on this machine.

Rounds are interleaved: in each, every row has one short run of wrk for each workload, and
what is printed are medians over the rounds. Everything runs in a temporary directory, on
unix sockets and on 127.0.0.1, and is stopped at the end. LUAFCGID2 names the binary; the
default is the one that make built."""

import argparse
import base64
import collections
import http.client
import os
import platform
import re
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # tests/

import fcgi
import rows as rowlist
import servers
import sharing
import sleepers
import streams
import watched
from servers import Failure

MANY = 10000
BODY = 1024 * 1024
POST = 100 * 1024
BAD_PEERS = 64        # of each kind
CALLGRIND_REQUESTS = 2000
FIELDS = 20
UPLOAD = 5 * 1000 * 1000
ROWS = {**rowlist.WORKLOADS, **rowlist.PAGES, **rowlist.OWN}
Sample = collections.namedtuple("Sample", "rate cpu p99 memory")

SPECIAL = {
    "scripts": f"one script, with 1 and with {MANY} scripts loaded",
    "wait": "longest wait of a healthy request among bad peers",
    "waiting": f"{sleepers.SLEEPING} scripts that wait in C, {sleepers.COMPUTING} that compute for"
               f" ever; {streams.CROWD} that wait for events or time",
    "sharing": f"Shared.get beside a table's field; {sharing.THREADS} threads that count to ten million",
    "watched": "hello with status, access log and slow log, to hello without; what it costs"
               " to count a request",
    "instructions": "callgrind's count for one hello, and for one that is watched",
}


def say(text):
    print(text, file=sys.stderr, flush=True)


# -- Requests --

def fetch(port, uri, method="GET", body=None, kind="application/octet-stream"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.putrequest(method, uri, skip_accept_encoding=True)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
            connection.putheader("Content-Type", kind)
        connection.endheaders(body)
        response = connection.getresponse()
        text = response.read()
    finally:
        connection.close()
    if response.status != 200:
        raise Failure(f"status {response.status} for {uri}: {text[:300]!r}")
    return response, text


def env_is_whole(row, text):
    if row.proxy == "http":
        return b"method=GET\n" in text and b"Host=127.0.0.1\n" in text
    names = {line.split(b"=")[0] for line in text.splitlines()}
    must = set(fcgi.parameters("", "")) - {"CONTENT_LENGTH"}  # one without digits means none
    return {name.encode() for name in must} <= names


def form_body():
    return b"&".join(b"field%d=value+%d%%21" % (i, i) for i in range(1, FIELDS + 1))


def upload_body():
    return (b'--bench\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n\r\n' +
            b"u" * UPLOAD + b"\r\n--bench--\r\n")


BODIES = {  # of the first request of a cell
    "post": lambda: ("POST", b"p" * POST),
    "form": lambda: ("POST", form_body(), "application/x-www-form-urlencoded"),
    "upload": lambda: ("POST", upload_body(), "multipart/form-data; boundary=bench"),
}


def is_table(text):
    rows = re.findall(rb"^<tr><td>(\d+)</td><td>Row &lt;(\d+)&gt;</td><td>(\d+)</td></tr>$", text, re.M)
    return b"<h1>Fifty &amp; more</h1>" in text and [tuple(map(int, row)) for row in rows] == [
        (i, i, i * 3) for i in range(1, 51)]


def verify(row, workload):
    """The first request of a cell: whether it answers what it should."""
    text = fetch(row.port, row.uri(workload), *BODIES.get(workload, tuple)())[1]
    right = {
        "hello": lambda: text == b"hello world",
        "hello_env": lambda: text == b"hello world",
        "session": lambda: text == b"hello world",
        "env": lambda: env_is_whole(row, text),
        "compute": lambda: text == base64.b64encode(b"0123456789" * 300),
        "body": lambda: text == b"x" * BODY,
        "post": lambda: text == str(POST).encode(),
        "form": lambda: text == str(sum(len(f"value {i}!") for i in range(1, FIELDS + 1))).encode(),
        "upload": lambda: text == str(UPLOAD).encode(),
        "template": lambda: is_table(text),
        "shared": lambda: text.isdigit(),
    }
    if not right[workload]():
        raise Failure(f"wrong answer: {text[:300]!r}")


def wrk(port, uri, seconds, args=()):
    """requests, seconds, 99th percentile in ms."""
    here = os.path.dirname(os.path.abspath(__file__))
    command = ["wrk", "-t", "1", "-c", str(rowlist.CONNECTIONS), "-d", f"{seconds}s",
               "--timeout", "20s", "-s", os.path.join(here, "wrk.lua"),
               f"http://127.0.0.1:{port}{uri}", "--", *args]
    out = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"^result (\d+) (\d+) (\d+) (\d+)$", out.stdout, re.M)
    if not found:
        raise Failure(f"wrk: {out.stdout}{out.stderr}")
    requests, duration, p99, errors = map(int, found.groups())
    if errors or not requests:
        raise Failure(f"{errors} of {requests} requests failed:\n{out.stdout}")
    return requests, duration / 1e6, p99 / 1e3


def measure(server, port, uri, seconds, args=()):
    before = server.cpu()
    requests, duration, p99 = wrk(port, uri, seconds, args)
    used = server.cpu() - before
    return Sample(requests / duration, used / requests * 1e6, p99, server.memory() / 2**20)


# -- The tables of rows and workloads --

class Cells:
    """Samples by (workload, row name); why a cell has none."""

    def __init__(self):
        self.samples = collections.defaultdict(list)
        self.failed = {}

    def run(self, workload, name, action):
        if (workload, name) in self.failed:
            return
        try:
            self.samples[workload, name].append(action())
        except (Failure, OSError, http.client.HTTPException) as e:
            self.failed[workload, name] = str(e) or type(e).__name__
            say(f"{workload}, {name}: {self.failed[workload, name]}")

    def median(self, workload, name):
        """None when not measured."""
        samples = self.samples.get((workload, name))
        if (workload, name) in self.failed or not samples:
            return None
        return Sample(*(statistics.median(column) for column in zip(*samples)))


def cookies(row, count):
    """Cookies of new sessions."""
    made = []
    for _ in range(count):
        cookie = fetch(row.port, "/session_count.lua")[0].getheader("Set-Cookie")
        if not cookie:
            raise Failure("session_count.lua set no cookie")
        made.append(cookie.split(";")[0])
    return made


def arguments(row, workload):
    """What wrk.lua is to send."""
    if workload == "post":
        return ["post", str(POST)]
    if workload == "form":
        return ["form", str(FIELDS)]
    if workload == "upload":
        return ["upload", str(UPLOAD)]
    if workload == "session":
        return ["cookies", *cookies(row, rowlist.CONNECTIONS)]
    return []


def session_counts(row, cookie):
    connection = http.client.HTTPConnection("127.0.0.1", row.port, timeout=10)
    connection.request("GET", "/session_count.lua", headers={"Cookie": cookie})
    text = connection.getresponse().read()
    connection.close()
    if not text.isdigit() or int(text) == 0:
        raise Failure(f"the session of {cookie} counted {text!r}")


def run_cell(row, workload, seconds):
    args = arguments(row, workload)
    sample = measure(row.by_workload[workload], row.port, row.uri(workload), seconds, args)
    if workload == "session":
        session_counts(row, args[1])
    return sample


def interleave(options, cells, rows, workloads):
    """One unmeasured round that looks at the answers and warms up, then the rounds."""
    pairs = [(w, row) for w in workloads for row in rows if w in row.by_workload]
    for workload, row in pairs:
        say(f"warming up: {workload}, {row.label}")
        cells.run(workload, row.name, lambda: verify(row, workload))
        cells.run(workload, row.name, lambda: run_cell(row, workload, 1))
        cells.samples.pop((workload, row.name), None)
    for i in range(options.rounds):
        say(f"round {i + 1} of {options.rounds}")
        turn = i % len(pairs)
        for workload, row in pairs[turn:] + pairs[:turn]:
            cells.run(workload, row.name,
                      lambda: run_cell(row, workload, options.seconds))


def measure_rows(options, park, cells):
    workloads = [w for w in ROWS if w in options.only]
    rows = [row for row in rowlist.all_rows() if row.name in options.rows]
    if not workloads or not rows:
        return
    park.compile("floor")
    park.compile("libfcgi", "-lfcgi")
    rowlist.start(park, rows, [*workloads, "session_count"])
    try:
        interleave(options, cells, rows, workloads)
    finally:
        park.stop_all()


# -- One script among many --

def make_many(park):
    directory = os.path.join(park.site, "many")
    os.mkdir(directory)
    for i in range(MANY):
        with open(f"{directory}/{i}.lua", "w", encoding="ascii") as f:
            f.write('function main()\n    Send("hello world")\nend\n')


def load_scripts(server, site, count):
    """Asks for scripts 1 to count - 1; script 0 is the one that is measured."""
    with fcgi.Connection(server.address, 60) as c:
        for i in range(1, count):
            c.send(fcgi.request(fcgi.parameters(site, f"/many/{i}.lua"), True))
            response = fcgi.response(c)
            if not response.endswith(b"hello world"):
                raise Failure(f"script {i}: {response[:300]!r}")


def loaded(server, site):
    message = fcgi.request(fcgi.parameters(site, "/loaded.lua"), False)
    return int(fcgi.ask(server.address, message).rpartition(b"\r\n")[2])


def measure_scripts(options, park, cells):
    make_many(park)
    rows = []
    for name, count in (("scripts-1", 1), ("scripts-many", MANY)):
        def start_one(park, _, name=name):
            return park.daemon(name, f"LuaTotalStates = {MANY * 2}\n")
        row = rowlist.Row(name, f"{count} scripts", "lua", "fastcgi", True, start_one,
                          ("scripts",))
        row.uri = lambda workload: "/many/0.lua"
        rows.append(row)
    rowlist.start(park, rows, ["scripts"])
    try:
        load_scripts(park.servers["scripts-many"], park.site, MANY)
        interleave_scripts(options, cells, rows)
        count = loaded(park.servers["scripts-many"], park.site)
        if count < MANY:
            raise Failure(f"only {count} of {MANY} scripts stayed loaded")
    finally:
        park.stop_all()


def interleave_scripts(options, cells, rows):
    for i in range(-1, options.rounds):
        say("warming up: scripts" if i < 0 else f"scripts, round {i + 1} of {options.rounds}")
        for row in rows:
            cells.run("scripts", row.name, lambda: measure(
                row.by_workload["scripts"], row.port, "/many/0.lua", options.seconds))
            if i < 0:
                cells.samples.pop(("scripts", row.name), None)


# -- The longest wait among bad peers --

def bad_peers(address, message):
    """Half heads, silent connections, idle kept connections."""
    peers = []
    for _ in range(BAD_PEERS):
        half, silent, kept = (fcgi.Connection(address) for _ in range(3))
        half.send(message[:len(message) // 2])
        fcgi.response(kept.send(message))
        peers += [half, silent, kept]
    return peers


def longest_wait(server, site, seconds):
    """Milliseconds; healthy requests one after the other, each on a new connection."""
    kept = fcgi.request(fcgi.parameters(site, "/hello.lua"), True)
    plain = fcgi.request(fcgi.parameters(site, "/hello.lua"), False)
    peers = bad_peers(server.address, kept)
    worst, end = 0.0, time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            before = time.monotonic()
            if not fcgi.ask(server.address, plain).endswith(b"hello world"):
                raise Failure("a healthy request got a wrong answer")
            worst = max(worst, time.monotonic() - before)
    finally:
        for peer in peers:
            peer.close()
    return worst * 1e3


def measure_wait(options, park):
    server = park.daemon("wait")
    try:
        longest_wait(server, park.site, 0.2)  # the script gets loaded
        waits = []
        for i in range(options.rounds):
            say(f"bad peers, round {i + 1} of {options.rounds}")
            waits.append(longest_wait(server, park.site, options.seconds))
    finally:
        park.stop_all()
    return max(waits)


# -- Instructions --

def count_instructions(park, requests, extra=""):
    """All instructions of a daemon that has one worker and no heartbeat to speak of."""
    out = park.path(f"callgrind.{requests}")
    server = park.daemon(f"callgrind-{requests}", "MinFileInfoTime = 60000\n" + extra, 1,
                         ("valgrind", "--tool=callgrind", f"--callgrind-out-file={out}"))
    try:
        message = fcgi.request(fcgi.parameters(park.site, "/hello.lua"), True)
        response = fcgi.ask_often(server.address, message, requests)
        if not response.endswith(b"hello world"):
            raise Failure(f"under callgrind: {response[:300]!r}")
    finally:
        park.stop_all()
    with open(out, encoding="ascii", errors="replace") as f:
        return int(re.findall(r"^(?:totals|summary): (\d+)", f.read(), re.M)[-1])


def measure_instructions(park, extra=""):
    say("counting instructions")
    counts = [count_instructions(park, n, extra)
              for n in (CALLGRIND_REQUESTS, 2 * CALLGRIND_REQUESTS)]
    return (counts[1] - counts[0]) / CALLGRIND_REQUESTS


# -- The bars --

def ratio(figure, above, below):
    def get(results):
        a, b = (results.cells.median(*cell) for cell in (above, below))
        return None if a is None or b is None else getattr(a, figure) / getattr(b, figure)
    return get


def session_cost(results):
    a = results.cells.median("session", "luafcgid2-ka")
    b = results.cells.median("hello", "luafcgid2-ka")
    return None if a is None or b is None else a.cpu - b.cpu


def waited(figure):
    return lambda results: results.waiting and getattr(results.waiting, figure)


def shared(figure):
    return lambda results: results.sharing and getattr(results.sharing, figure)


def counted(figure):
    return lambda results: results.counting and getattr(results.counting, figure)


def streamed(figure):
    return lambda results: results.streams and getattr(results.streams, figure)


OURS, OURS_PLAIN = ("hello", "luafcgid2-ka"), ("hello", "luafcgid2")
BARS = [  # text, workload that has to be asked for, figure, relation, limit; or no limit
    ("CPU per request, keepalive, to the floor", "hello",
     ratio("cpu", OURS, ("hello", "floor-ka")), "<=", 1.7),
    ("CPU per request, plain, to the floor", "hello",
     ratio("cpu", OURS_PLAIN, ("hello", "floor")), "<=", 1.2),
    ("requests/s, keepalive, to the floor", "hello",
     ratio("rate", OURS, ("hello", "floor-ka")), ">=", 0.93),
    ("to the floor under SCHED_BATCH: CPU per request, keepalive", "hello",
     ratio("cpu", OURS, ("hello", "batch-ka")), "", None),
    ("to the floor under SCHED_BATCH: requests/s, keepalive", "hello",
     ratio("rate", OURS, ("hello", "batch-ka")), "", None),
    ("requests/s, keepalive, to php-fpm", "hello",
     ratio("rate", OURS, ("hello", "php-ka")), ">=", 1.7),
    ("CPU per request, keepalive, to php-fpm", "hello",
     ratio("cpu", OURS, ("hello", "php-ka")), "<=", 0.45),
    ("CPU per request, keepalive, to Apache mod_lua, scope thread", "hello",
     ratio("cpu", OURS, ("hello", "modlua-thread")), "<=", 0.3),
    ("by a script that takes Env: CPU per request, keepalive, to the floor", "hello_env",
     ratio("cpu", ("hello_env", "luafcgid2-ka"), ("hello", "floor-ka")), "<=", 1.7),
    ("by a script that takes Env: CPU per request, plain, to the floor", "hello_env",
     ratio("cpu", ("hello_env", "luafcgid2"), ("hello", "floor")), "<=", 1.2),
    ("CPU for a 1 MiB body, keepalive, to php-fpm", "body",
     ratio("cpu", ("body", "luafcgid2-ka"), ("body", "php-ka")), "<=", 1.0),
    ("CPU for a 1 MiB body, plain, to php-fpm", "body",
     ratio("cpu", ("body", "luafcgid2"), ("body", "php")), "<=", 1.0),
    ("CPU for a form of 20 fields, keepalive, to php-fpm", "form",
     ratio("cpu", ("form", "luafcgid2-ka"), ("form", "php-ka")), "<=", 1.0),
    ("CPU for an upload of 5 MB, keepalive, to php-fpm", "upload",
     ratio("cpu", ("upload", "luafcgid2-ka"), ("upload", "php-ka")), "<=", 1.1),
    ("CPU for a template's table of 50 rows, keepalive, to php-fpm", "template",
     ratio("cpu", ("template", "luafcgid2-ka"), ("template", "php-ka")), "<=", 1.0),
    ("CPU for Shared.incr, keepalive, to php-fpm with APCu", "shared",
     ratio("cpu", ("shared", "luafcgid2-ka"), ("shared", "php-ka")), "<=", 1.0),
    ("Shared.get: more than a table's field: ns", "sharing", shared("get"), "<=", 300.0),
    (f"of ten million Shared.incr by {sharing.THREADS} threads are lost", "sharing",
     shared("lost"), "<=", 0),
    (f"CPU per request, {MANY} scripts loaded to 1", "scripts",
     ratio("cpu", ("scripts", "scripts-many"), ("scripts", "scripts-1")), "<=", 1.25),
    (f"longest wait among {BAD_PEERS} half heads, silent, idle kept: ms", "wait",
     lambda results: results.wait, "<=", 50.0),
    (f"longest wait beside {sleepers.slow.CROWD} slow readers, as many senders: ms", "waiting",
     lambda results: results.waiting and results.waiting.slow.longest, "<=", 100.0),
    ("threads more beside these", "waiting",
     lambda results: results.waiting and results.waiting.slow.threads, "<=", 0),
    (f"until {sleepers.SLEEPING} scripts that wait have begun: ms", "waiting",
     waited("begin"), "", None),
    (f"longest wait beside {sleepers.SLEEPING} scripts that wait: ms", "waiting",
     waited("longest"), "<=", 100.0),
    ("threads more beside them", "waiting", waited("workers"), "", None),
    (f"threads more beside {sleepers.COMPUTING} scripts that compute for ever", "waiting",
     waited("computing"), "<=", 0),
    (f"requests/s of hello beside {streams.CROWD} streams of events, to hello alone",
     "waiting", streamed("rate"), ">=", 0.9),
    ("memory of one of these streams: KiB", "waiting", streamed("memory"), "<=", 48.0),
    ("one Publish to them: until the last client has it: ms", "waiting",
     streamed("last"), "<=", 100.0),
    ("one Publish to them: CPU per client: us", "waiting", streamed("cpu"), "<=", 15.0),
    (f"{streams.CROWD} requests at once that Sleep(1): until all are answered: s", "waiting",
     streamed("slept"), "<=", 1.5),
    (f"{streams.PHP_CROWD} that sleep(1) in php-fpm: until all are answered: s", "waiting",
     streamed("php"), "", None),
    ("CPU with status, access log and slow log, keepalive, to without", "watched",
     lambda results: results.watched and results.watched.cpu, "<=", 1.05),
    ("the same: requests/s", "watched",
     lambda results: results.watched and results.watched.rate, "", None),
    ("to count a request: ns", "watched", counted("alone"), "<=", 100.0),
    ("the same beside another worker and a reader: ns", "watched", counted("beside"), "<=",
     100.0),
    ("the same if workers shared their numbers: ns", "watched", counted("shared"), "", None),
    ("instructions of hello, watched to unwatched", "instructions",
     lambda results: results.instructions and results.watched_instructions and
     results.watched_instructions / results.instructions, "", None),
    ("session: CPU per request over hello, keepalive: us", "session",
     session_cost, "<=", 3.0),
]


class Results:
    def __init__(self):
        self.cells = Cells()
        self.wait = self.waiting = self.streams = self.sharing = self.instructions = None
        self.watched = self.counting = self.watched_instructions = None


def print_cells(cells, workload, text, labels):
    print(f"\n{workload}: {text}")
    print(f"  {'':34}{'requests/s':>12}{'CPU us':>10}{'p99 ms':>10}{'memory MiB':>12}")
    for name, label in labels:
        median = cells.median(workload, name)
        if median:
            print(f"  {label:34}{median.rate:12,.0f}{median.cpu:10.2f}{median.p99:10.2f}"
                  f"{median.memory:12.1f}")
        elif (workload, name) in cells.failed:
            print(f"  {label:34}  failed: {cells.failed[workload, name].splitlines()[0]}")


def print_bars(options, results):
    """How many bars were missed. One that was asked for and could not be measured is."""
    missed = 0
    print(f"\n{'bar':68}{'limit':>9}{'figure':>10}")
    for text, workload, get, relation, limit in BARS:
        value = get(results)
        if workload not in options.only or (value is None and options.partial):
            continue
        shown = "-" if value is None else f"{value:.3f}"
        if limit is None:
            print(f"{text:68}{'':9}{shown:>10}")
            continue
        passed = value is not None and (value <= limit if relation == "<=" else value >= limit)
        missed += not passed
        print(f"{text:68}{relation:>4}{limit:5g}{shown:>10}  {'pass' if passed else 'FAIL'}")
    return missed


def versions():
    """Of what was measured, as far as it is installed."""
    found = [f"{os.cpu_count()} cores", f"Linux {platform.release()}"]
    for patterns in (("nginx",), ("php-fpm", "php-fpm[0-9]*"), ("apache2", "httpd")):
        try:
            out = subprocess.run([servers.program(*patterns), "-v"], capture_output=True,
                                 text=True, check=False)
        except Failure:
            continue
        found += re.findall(r"(?:nginx|PHP|Apache)[/ ][0-9.]+", out.stdout + out.stderr)[:1]
    return ", ".join(found)


def print_tables(options, results):
    print(f"Medians of {options.rounds} rounds of {options.seconds} s; {versions()}")
    labels = [(row.name, row.label) for row in rowlist.all_rows() if row.name in options.rows]
    for workload, text in ROWS.items():
        if workload in options.only:
            print_cells(results.cells, workload, text, labels)
    if "scripts" in options.only:
        print_cells(results.cells, "scripts", SPECIAL["scripts"],
                    [("scripts-1", "luafcgid2, 1 script"),
                     ("scripts-many", f"luafcgid2, {MANY} scripts")])
    for name in SPECIAL:
        if (name, name) in results.cells.failed:
            print(f"\n{name} failed: {results.cells.failed[name, name].splitlines()[0]}")
    if results.instructions is not None:
        print(f"\ninstructions for one hello: {results.instructions:,.0f}")
    if results.watched_instructions is not None:
        print("with status, access log and slow log: "
              f"{results.watched_instructions:,.0f}")
    print()
    for note in rowlist.notes():
        print("* " + note)


def parse():
    names = [row.name for row in rowlist.all_rows()]
    kinds = list(ROWS) + list(SPECIAL)
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="workloads:\n" + "\n".join(
            f"  {k:14}{v}" for k, v in {**ROWS, **SPECIAL}.items())
        + "\nrows:\n" + "\n".join(f"  {r.name:16}{r.label}" for r in rowlist.all_rows()))
    p.add_argument("--rounds", type=int, default=5, help="default: 5")
    p.add_argument("--seconds", type=int, default=2, help="of each run; default: 2")
    p.add_argument("--only", metavar="WORKLOAD,...", default=",".join(kinds))
    p.add_argument("--rows", metavar="ROW,...", default=",".join(names))
    p.add_argument("--check", action="store_true", help="exit 1 when a bar is missed")
    options = p.parse_args()
    options.only, options.rows = options.only.split(","), options.rows.split(",")
    for given, known in ((options.only, kinds), (options.rows, names)):
        for name in given:
            if name not in known:
                p.error(f"{name}: not one of {', '.join(known)}")
    if options.rounds < 1 or options.seconds < 1:
        p.error("at least one round of one second")
    options.partial = len(options.rows) < len(names)
    return options


def special(options, results, name, action):
    """What action returns; None when not asked for, or when it failed."""
    if name not in options.only:
        return None
    try:
        return action()
    except (Failure, OSError) as e:
        say(f"{name}: {e}")
        results.cells.failed[name, name] = str(e) or type(e).__name__
        return None


def run(options, park):
    results = Results()
    park.make_site()
    measure_rows(options, park, results.cells)
    special(options, results, "scripts",
            lambda: measure_scripts(options, park, results.cells))
    results.wait = special(options, results, "wait", lambda: measure_wait(options, park))
    results.waiting = special(options, results, "waiting",
                              lambda: sleepers.measure(park, say))
    results.streams = special(options, results, "waiting",
                              lambda: streams.measure(park, wrk, say))
    results.sharing = special(options, results, "sharing",
                              lambda: sharing.measure(park, say))
    results.watched = special(options, results, "watched", lambda: watched.measure(
        park, options.rounds,
        lambda row: measure(row.by_workload["hello"], row.port, row.uri("hello"), 1), say))
    results.counting = special(options, results, "watched", lambda: watched.count(park))
    results.instructions = special(options, results, "instructions",
                                   lambda: measure_instructions(park))
    results.watched_instructions = special(
        options, results, "instructions",
        lambda: measure_instructions(park, watched.options(park, "watched")))
    return results


def main():
    options = parse()
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    binary = os.path.abspath(os.environ.get("LUAFCGID2", os.path.join(root, "luafcgid2")))
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # for the crowd and for nginx
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="luafcgid2-bench-") as directory:
        os.chmod(directory, 0o755)  # Apache's workers are another user
        park = servers.Park(directory, binary, rowlist.WORKERS)
        try:
            results = run(options, park)
        finally:
            park.stop_all()
    print_tables(options, results)
    missed = print_bars(options, results)
    return 1 if options.check and missed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as e:
        sys.exit(f"bench: {e}")
