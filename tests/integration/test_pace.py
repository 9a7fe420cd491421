"""Clients that read or send slowly: their requests wait without a worker."""

import random
import select
import threading
import time

import pytest

import fastcgi
from servers import PATIENCE, SANITIZER, wait_until

PIECE = "0123456789abcdef" * 4096
PIECES = 64  # 4 MiB: more than sockets take
SIZE = PIECES * len(PIECE)
MANY = 12  # clients, many times as many as there are workers
LIMIT = 4 if SANITIZER else 2  # seconds
DAEMON = {"WorkerThreads": 2, "WorkerThreadsMax": 2, "LuaMaxStates": 4, "RequestTimeout": 30,
          "StatusPath": "/status"}
HELLO = "function main() return 'hello' end"

# How a page of PIECES pieces may be sent.
WAYS = {
    "Flush": "function main() for i = 1, %d do Send(p) Flush() end end",
    "con:flush": "function main(env, con) for i = 1, %d do con:puts(p) con:flush() end end",
    "unbuffered": """function main(env, con)
        con:config('buffering', false)
        for i = 1, %d do Send(p:sub(1, 1000), p:sub(1001)) end end""",
    "methods": """function main(env, con)
        con:config('buffering', false)
        for i = 1, %d do con:puts(p) end end""",
    "pieces of a stream": "function main() Flush() for i = 1, %d do Send(p) end end",
    "a coroutine": """function main()
        local pieces = coroutine.wrap(function()
            for i = 1, %d do pcall(function() Send(p) assert(Flush()) end) coroutine.yield(i) end
        end)
        for i in pieces do end end""",
    "a callback of sort": """function main()
        for i = 1, %d do
            table.sort({1, 2}, function(a, b) Send(p) Flush() return a < b end) end end""",
    "SendFile": "function main() SendFile('page.bin') end -- %d",
}
PAGE = "local p = ('0123456789abcdef'):rep(4096)\n"


@pytest.fixture
def slow(daemon):
    def make(**options):
        d = daemon(**{**DAEMON, **options})
        d.site.write("hello.lua", HELLO)
        d.site.write("page.bin", PIECE * PIECES)
        return d
    return make


def page(d, way):
    return d.script(PAGE + WAYS[way] % PIECES)


def begin(d, name, count=MANY):
    """So many clients that do not read, of which each has some of its response."""
    clients = [d.open(name, "GET").end() for _ in range(count)]
    for c in clients:
        assert select.select([c.sock], [], [], PATIENCE)[0]
    return clients


def check_prompt(d):
    """As if nobody were slow: else there would be no answer for as long as they are."""
    for _ in range(MANY):
        assert d.get("hello.lua").text == "hello"


def check_page(c):
    response = c.response()
    assert response.ended and len(response.body) == SIZE
    assert response.text == PIECE * PIECES


# -- Those that read slowly --

@pytest.mark.parametrize("way", sorted(set(WAYS) - {"a callback of sort"}))
def test_slow_readers_hold_no_worker(slow, way):
    d = slow()
    clients = begin(d, page(d, way))
    check_prompt(d)
    for c in clients:
        check_page(c)


def test_slow_readers_of_events_hold_no_worker(slow):
    d = slow()
    clients = begin(d, d.script(PAGE + "function main() for i = 1, %d do assert(Event(p)) end end" %
                                PIECES))
    check_prompt(d)
    for c in clients:
        assert c.response().text == ("data: %s\n\n" % PIECE) * PIECES


def test_a_send_of_very_many_values(slow):
    """Each goes out by itself, one after the other."""
    d = slow()
    name = d.script("""function main(env, con)
        local t = {}
        for i = 1, 60000 do t[i] = 'x' end
        con:config('buffering', false)
        Send(table.unpack(t)) end""")
    assert d.get(name).text == "x" * 60000


def test_a_large_file_in_pieces(slow):
    """A client that reads at once never makes the script wait."""
    d = slow()
    with open(d.site.path("large.bin"), "wb") as f:
        f.truncate(100 << 20)
    response = d.get(d.script("function main(env, con) con:config('buffering', false) "
                              "SendFile('large.bin') end"))
    assert response.ended and response.body == bytes(100 << 20)


def test_where_lua_cannot_yield_the_worker_waits(slow):
    d = slow(WorkerThreadsMax=8)
    clients = begin(d, page(d, "a callback of sort"), 3)
    check_prompt(d)
    for c in clients:
        check_page(c)


def test_a_slow_reader_gets_more_after_its_wait(slow):
    """What is sent later comes behind what was kept."""
    d = slow()
    name = d.script(PAGE + "function main() Send(p:rep(16)) Flush() Sleep(0) Send('more') "
                    "Flush() Send(p:rep(16)) end")
    for c in begin(d, name):
        assert c.response().text == PIECE * 16 + "more" + PIECE * 16


def test_more_than_maxwaiting_read_slowly(slow):
    """Those hold their workers, and none gets an error."""
    d = slow(MaxWaiting=2, WorkerThreadsMax=8)
    clients = begin(d, page(d, "Flush"), 5)
    check_prompt(d)
    for c in clients:
        check_page(c)


def test_more_than_maxpendingoutput_is_read_slowly(slow):
    d = slow(MaxPendingOutput=1, WorkerThreadsMax=8)
    clients = begin(d, page(d, "Flush"), 5)
    check_prompt(d)
    for c in clients:
        check_page(c)


def test_the_clock_stands_still_while_a_client_reads_nothing(slow):
    d = slow(RequestTimeout=LIMIT)
    c, = begin(d, page(d, "Flush"), 1)
    check_prompt(d)
    time.sleep(1.2 * LIMIT)  # what has to be survived
    check_page(c)


NOTED = """local p = ('0123456789abcdef'):rep(4096)
function main()
    local there
    for i = 1, 64 do Send(p) there = Flush() end
    local f = io.open(Dir() .. '/%s', 'w') f:write(tostring(there)) f:close()
end"""


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_reader_that_goes_away_raises_no_error(slow, site, how):
    d = slow()
    for i in range(4):
        name = d.script(NOTED % ("end%d" % i))
        c, = begin(d, name, 1)
        getattr(c, how)()
        wait_until(lambda: site_has(d, "end%d" % i, "false"), "the script's end")


def site_has(d, name, text):
    try:
        with open(d.site.path(name)) as f:
            return f.read() == text
    except FileNotFoundError:
        return False


def test_a_reader_that_reads_nothing_is_cut_off_at_last(slow):
    d = slow(WriteTimeout=0.5)
    c, = begin(d, d.script(NOTED % "end"), 1)
    wait_until(lambda: site_has(d, "end", "false"), "the script's end")
    d.wait_log(r"the web server did not take the response \(WriteTimeout\)", "warning")
    response = c.response()
    assert not response.ended and response.cut
    assert (PIECE * PIECES).startswith(response.text)


def test_an_error_after_a_wait_cuts_off_the_response(slow):
    d = slow()
    d.any_errors = True
    name = d.script(PAGE + "function main() Send(p:rep(32)) Flush() error('x') end")
    c, = begin(d, name, 1)
    response = c.response()
    assert not response.ended and response.cut and response.text == PIECE * 32


# -- Those that send slowly --

READS = {
    "Receive": "function main() Send(Receive()) end",
    "con:gets": "function main(env, con) con:puts(con:gets()) end",
    "parts": "function main(env, con) local s = con:gets(999) while s do Send(s) s = con:gets(999) "
             "end end",
    "pcall": "function main() local ok, s = pcall(Receive) assert(ok) Send(s) end",
    "a coroutine": "function main() Send(coroutine.wrap(function() return Receive() end)()) end",
}


@pytest.mark.parametrize("way", sorted(READS))
def test_slow_bodies_hold_no_worker(slow, way):
    d = slow()
    name = d.script(READS[way])
    clients = [d.open(name) for _ in range(MANY)]
    for part in range(3):
        for i, c in enumerate(clients):
            c.body("part %d of %d;" % (part, i) * 1000)
        check_prompt(d)
    for i, c in enumerate(clients):
        assert c.end().response().text == "".join(
            "part %d of %d;" % (part, i) * 1000 for part in range(3))


FILE = ("--b\r\nContent-Disposition: form-data; name=\"%s\"%s\r\n\r\n", "\r\n", "--b--\r\n")
MULTIPART = "multipart/form-data; boundary=b"
URLENCODED = "application/x-www-form-urlencoded"

# Of each: its media type, what comes before and after the text, and the script.
FORMS = {
    "lf.form": (URLENCODED, "x=y&text=", "&z=", "Send(lf.form().text, lf.form().x)"),
    "lf.form of a multipart body": (
        MULTIPART, FILE[0] % ("text", ""), FILE[1] + FILE[0] % ("x", "") + "y" + FILE[1] + FILE[2],
        "Send(lf.form().text, lf.form().x)"),
    "lf.files": (
        MULTIPART, FILE[0] % ("text", '; filename="t"'),
        FILE[1] + FILE[0] % ("x", "") + "y" + FILE[1] + FILE[2],
        "Send(lf.files().text:read(), lf.form().x)"),
    "lf.field": (URLENCODED, "x=y&text=", "", "Send(lf.field('text'), lf.field('x', 'none'))"),
    "lf.json": ("application/json", '{"x": "y", "text": "', '"}',
                "Send(lf.json().text, lf.json().x)"),
    "lf.csrf_ok": (URLENCODED, "x=y&text=", "", "Session.Start() assert(not lf.csrf_ok()) "
                   "Send(lf.field('text'), lf.field('x'))"),
    "pcall in a coroutine": (
        URLENCODED, "x=y&text=", "",
        "local t = coroutine.wrap(function() return select(2, pcall(lf.form)) end)() "
        "Send(t.text, t.x)"),
    "an iterator": (URLENCODED, "text=", "&x=y", "local t = {} for k, v in function(_, last) "
                    "return next(lf.form(), last) end do t[k] = v end Send(t.text, t.x)"),
}


def begin_form(d, name, way):
    return d.open(name, CONTENT_TYPE=FORMS[way][0]).body(FORMS[way][1])


def end_form(c, way):
    return c.body(FORMS[way][2]).end().response().text


@pytest.mark.parametrize("way", sorted(FORMS))
def test_slow_forms_hold_no_worker(slow, way):
    d = slow()
    name = d.script("function main() %s end" % FORMS[way][3])
    clients = [begin_form(d, name, way) for _ in range(MANY)]
    for part in range(3):
        for i, c in enumerate(clients):
            c.body("part %d of %d; " % (part, i) * 1000)
        check_prompt(d)
    for i, c in enumerate(clients):
        assert end_form(c, way).rstrip("y").replace("+", " ") == "".join(
            "part %d of %d; " % (part, i) * 1000 for part in range(3))


def test_two_hundred_slow_uploads_delay_nobody(slow):
    d = slow(WorkerThreads=4, WorkerThreadsMax=4, MaxWaiting=300)
    name = d.script("function main() %s end" % FORMS["lf.files"][3])
    clients = [begin_form(d, name, "lf.files") for _ in range(200)]
    wait_until(lambda: d.waiting() >= 200, "all uploads to wait")
    for c in clients:
        c.body("half ")
    check_prompt(d)
    for c in clients:
        assert end_form(c.body("whole"), "lf.files") == "half wholey"


@pytest.mark.parametrize("way", ["lf.form", "lf.files", "lf.json"])
def test_where_lua_cannot_yield_a_form_is_read_all_the_same(slow, way):
    """In many pieces, of which the client sends one after the other."""
    d = slow(WorkerThreadsMax=8)
    name = d.script("function main() table.sort({1, 2}, function(a, b) if not done then done = "
                    "true %s end return a < b end) end" % FORMS[way][3])
    c = begin_form(d, name, way)
    check_prompt(d)
    for _ in range(300):
        c.body("x")
    assert end_form(c, way) == "x" * 300 + "y"


@pytest.mark.parametrize("way", ["lf.form", "lf.files", "lf.json"])
def test_a_form_that_stops_is_refused(slow, way):
    d = slow(ReadTimeout=0.5)
    name = d.script("function main() local ok, why = pcall(function() %s end) "
                    "RespStatus(ok and 200 or 409) Send(tostring(why)) end" % FORMS[way][3])
    c = begin_form(d, name, way)
    check_prompt(d)
    response = c.response()
    assert response.status == 409 and "did not arrive whole" in response.text
    d.wait_log(r"the request's body came too slowly \(ReadTimeout\)", "warning")


@pytest.mark.parametrize("way", ["lf.form", "lf.files", "lf.json"])
def test_the_sender_of_a_form_goes_away(slow, way):
    d = slow()
    name = d.script("function main() %s end" % FORMS[way][3])
    for c in [begin_form(d, name, way) for _ in range(MANY)]:
        c.close()
    check_prompt(d)
    wait_until(lambda: d.waiting() == 0, "the end of all")


def test_a_body_that_stops_is_given_up(slow):
    d = slow(ReadTimeout=0.5)
    c = d.open(d.script(READS["Receive"])).body("half")
    check_prompt(d)
    assert c.response().status == 400
    d.wait_log(r"the request's body came too slowly \(ReadTimeout\)", "warning")


def test_a_body_that_trickles_is_given_up_in_the_end(slow):
    """All waits together: RequestTimeout, and a second for each thousand bytes."""
    d = slow(RequestTimeout=1, ReadTimeout=30)
    c = d.open(d.script(READS["Receive"]))
    began = time.monotonic()
    while not select.select([c.sock], [], [], 0.1)[0]:
        c.body("x")
        assert time.monotonic() - began < PATIENCE
    assert c.response().status == 400
    assert time.monotonic() - began > 0.9


def test_a_body_that_is_cut_is_an_error(slow):
    d = slow()
    name = d.script("function main() Flush() Receive() Send('whole') end")
    c = d.open(name).body("half")
    check_prompt(d)
    c.shut()
    assert b"whole" not in c.response().raw


def test_a_large_body_that_trickles_counts_for_the_memory_limit(slow):
    d = slow(MaxPostSize=0, ScriptMemoryLimit=1 << 20)
    d.any_errors = True
    c = d.open(d.script(READS["Receive"]))
    for _ in range(32):
        c.body("x" * 65536)
    assert c.end().response().status == 500
    check_prompt(d)


# -- A stop --

def test_a_stop_lets_slow_clients_finish(slow):
    """More of them than there are workers, and the last ones first."""
    d = slow()
    readers = begin(d, page(d, "Flush"), 6)
    senders = [d.open(d.script(READS["Receive"])).body("one ") for _ in range(6)]
    check_prompt(d)
    d.signal(15)
    d.wait_log("stopping")
    for c in reversed(senders):
        assert c.body("two").end().response().text == "one two"
    threads = [threading.Thread(target=check_page, args=(c,)) for c in readers]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert d.wait() == 0


# -- All at once --

def client(d, seed, names):
    rnd = random.Random(seed)
    for _ in range(6):
        kind = rnd.choice(["page", "page", "body", "gone", "half"])
        c = d.open(names[rnd.randrange(len(names))] if kind != "body" else "echo.lua",
                   "POST" if kind in ("body", "half") else "GET")
        if kind == "body":
            for part in range(4):
                c.body("%d " % part * rnd.randrange(1, 3000))
                select.select([c.sock], [], [], rnd.random() / 50)
            assert c.end().response().status == 200
        elif kind == "half":
            c.body("x").close()
        elif kind == "gone":
            c.end()
            select.select([c.sock], [], [], rnd.random())
            c.close()
        else:
            c.end()
            select.select([c.sock], [], [], rnd.random() / 10)
            assert len(c.response().body) == SIZE
        c.close()


def test_many_slow_clients_at_once(slow):
    d = slow(WorkerThreadsMax=8, MaxPendingOutput=2 << 20, MaxWaiting=12)
    names = [page(d, way) for way in sorted(WAYS)]
    d.site.write("echo.lua", READS["Receive"])
    failures = []

    def run(seed):
        try:
            client(d, seed, names)
        except Exception as e:
            failures.append(e)
    threads = [threading.Thread(target=run, args=(i,)) for i in range(16)]
    for t in threads:
        t.start()
    for i, name in enumerate(names):
        d.site.write(name, PAGE + WAYS[sorted(WAYS)[i]] % PIECES + "\n-- edited")
    d.reload(MaxPendingOutput=4 << 20)
    for t in threads:
        t.join()
    assert not failures, failures
    check_prompt(d)
