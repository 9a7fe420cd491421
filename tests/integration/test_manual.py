"""The examples of luafcgid2-lua(3) are run as they stand there."""

import collections
import contextlib
import os
import re
import shutil
import sqlite3
import subprocess
import threading
import urllib.parse

import pytest

from browsers import Browser
from servers import ROOT

DAEMON = {"WorkerThreads": 4}
MAN = os.path.join(ROOT, "etc/man/luafcgid2-lua.3")
CLIENTS, VISITS = 16, 25


def literals():
    """The displayed texts, without the page's own markup."""
    with open(MAN, encoding="ascii") as f:
        found = re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed$", f.read(), re.M | re.S)
    return [text.replace(r"\e", "\\") for text in found]


SCRIPTS = [text for text in literals() if re.search(r"^function (main|handler)\(", text, re.M)]
TEMPLATE, = [text for text in literals() if "<%=" in text]
SQLITE, = [text for text in SCRIPTS if "/visits.db" in text]
STOCK, = [text for text in SCRIPTS if "/stock.db" in text]
REDIS, = [text for text in SCRIPTS if "BLPOP" in text]  # test_wait_redis.py runs it
LIVE, = [text for text in SCRIPTS if "EventSource" in text]


@pytest.mark.parametrize("source", [s for s in SCRIPTS if s not in (SQLITE, STOCK, REDIS)],
                         ids=lambda s: s.strip().splitlines()[-2].strip())
def test_example_runs(web, site, source):
    os.makedirs(os.path.join(site.root, "views"))
    site.write("views/list.html", TEMPLATE)
    page = web.script(source)
    for query, body in ("", b""), ("state", b"who=Ada&who=%3CBob%3E&colour=r+d"):
        response = web.post(page, body, query=query)
        assert response.status in (200, 204, 303, 404), response


# Lines such as: lf.hex("Az")   --> "417a"
VALUES = [text for text in literals() if "-->" in text]
SAME = """
local function same(a, b)
    if type(a) ~= "table" or type(b) ~= "table" then return a == b and math.type(a) == math.type(b) end
    for k, v in pairs(a) do if not same(v, b[k]) then return false end end
    return #a == #b
end
local function compare(line, got, wanted)
    assert(same(got, wanted), line .. ": " .. lf.serialize(got))
end
"""


@pytest.mark.parametrize("text", VALUES, ids=lambda text: text.split("(")[0])
def test_values_are_what_the_page_says(web, text):
    lines = [re.split(r" +--> ", line) for line in text.splitlines()]
    assert all(len(line) == 2 for line in lines), text
    calls = "\n".join("compare(%s, {%s}, {%s})" % ("[=[%s]=]" % call, call, value) for call, value in lines)
    response = web.get(web.script(SAME + "function main()\n%s\nSend('same') end" % calls))
    assert response.text == "same", response


def functions():
    """Of the entries, without what is the standard library's; the v1 methods have the examples of their twins."""
    with open(MAN, encoding="ascii") as f:
        entries = re.findall(r"^\.It Fn (\S+)", f.read(), re.M)
    return sorted({name for name in entries if re.match(r"(lf|Shared|Session)\.|[A-Z]\w+$|(file|subscription):", name)})


@pytest.mark.parametrize("name", functions())
def test_every_function_has_an_example(name):
    called = r":%s\(" % name.split(":")[1] if ":" in name else r"(?<![.\w])%s\b" % re.escape(name)
    assert any(re.search(called, text) for text in VALUES + SCRIPTS), name


CALLABLE = """
function main()
    local function list(before, t)
        for name, value in pairs(t) do
            if type(value) == "function" then Send(before, name, "\\n") end
        end
    end
    for name, value in pairs(_G) do
        if type(value) == "function" and name:find("^%u") then Send(name, "\\n") end
    end
    list("lf.", lf)
    list("Shared.", Shared)
    list("Session.", Session)
end
"""


def test_every_function_is_described(web):
    """Whoever adds a function hears of it here."""
    with open(MAN, encoding="ascii") as f:
        entries = set(re.findall(r"^\.It Fn (\S+)", f.read(), re.M))
    names = web.get(web.script(CALLABLE)).text.split()
    assert len(names) > 60 and {"Send", "lf.mime", "Shared.get", "Session.Id"} <= set(names)
    assert [name for name in names if name not in entries] == []


def test_what_other_servers_scripts_are_sent_to_is_there():
    """The second column of the tables: names of functions, or of values."""
    with open(MAN, encoding="ascii") as f:
        text = f.read()
    tables = re.findall(r"^\.TS\n.*?\tHere\n_\n(.*?)^\.TE$",
                        text[text.index(".Sh COMING FROM ELSEWHERE"):], re.M | re.S)
    assert len(tables) == 3
    entries = set(re.findall(r"^\.It (?:Fn|Va) (\S+)", text, re.M))
    for row in "".join(tables).splitlines():
        here = re.sub(r'"[^"]*"', "", row.split("\t")[1])
        for name in re.findall(r"((?:lf\.|Shared\.|Session\.)?\w+)\(", here):
            assert name in entries or name in ("main", "config"), row


@pytest.mark.parametrize("render", [["mandoc", "-Tutf8"], ["groff", "-mandoc", "-t", "-Tutf8"]],
                         ids=lambda command: command[0])
def test_what_differs_from_luafcgid_is_a_table_on_the_page(render):
    """groff leaves out a table of another kind, which is longer than a page."""
    if not shutil.which(render[0]):
        pytest.skip(render[0] + " is not installed")
    done = subprocess.run(render + [MAN], check=True, timeout=60, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE)
    text = re.sub(r".\x08|\x1b\[[0-9;]*m", "", done.stdout.decode())
    chapter = text[text.index("COMING FROM LUAFCGID"):]
    for said in ("Before", "AllowedExtensions =", "MaxPostSize", '"*:9000"', "ShowErrors",
                 "package.path", "SessionCookieDomain", "Env.LUAFCGID_VERSION", "os.setlocale"):
        assert said in chapter, chapter


def test_there_are_examples_of_each_style():
    assert len(SCRIPTS) >= 9


def needs(module, package):
    done = subprocess.run(["lua5.3", "-e", "require '%s'" % module], check=False,
                          stderr=subprocess.DEVNULL)
    return pytest.mark.skipif(done.returncode != 0, reason=package + " is not installed")


def database(path):
    """Makes a database as the page says."""
    original = "/var/lib/luafcgid2/" + os.path.basename(path)
    command, = [text for text in literals() if text.startswith("sqlite3 %s " % original)]
    subprocess.run(["sh", "-ec", command.replace(original, path)], check=True, timeout=30,
                   stdout=subprocess.PIPE)
    return path


@pytest.fixture
def visits(scratch):
    return database(os.path.join(scratch(), "visits.db"))


@needs("luasql.sqlite3", "lua-sql-sqlite3")
def test_database_of_the_example_loses_no_write_of_16_clients(daemon, visits):
    d = daemon(WorkerThreads=CLIENTS, LuaMaxStates=CLIENTS, DataDir=os.path.dirname(visits),
               RequestTimeout=100)
    assert "busy_timeout = 5000" in SQLITE  # whose turn it is SQLite leaves to chance
    page = d.script(SQLITE.replace("busy_timeout = 5000", "busy_timeout = 60000"))
    answers = collections.Counter()

    def client():
        for _ in range(VISITS):
            response = d.get(page, timeout=90)
            answers[response.status, response.text.startswith("Visit number ")] += 1
    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {(200, True): CLIENTS * VISITS}
    with sqlite3.connect(visits) as database:
        assert database.execute("SELECT n FROM visits").fetchall() == [(CLIENTS * VISITS,)]
    assert d.get(page).text == "Visit number %d" % (CLIENTS * VISITS + 1)


@needs("luasql.sqlite3", "lua-sql-sqlite3")
def test_the_table_of_the_example_is_edited(daemon, scratch):
    path = database(os.path.join(scratch(), "stock.db"))
    d = daemon(DataDir=os.path.dirname(path))
    page = d.script(STOCK)
    visitor = Browser(d)
    token = re.search('name="csrf" value="([^"]+)"', visitor.serve(page).text).group(1)

    def post(token=token, **fields):
        body = urllib.parse.urlencode({"csrf": token, **fields}).encode()
        return d.post(page, body, HTTP_COOKIE="%s=%s" % (visitor.name, visitor.key)).status

    def rows():
        with contextlib.closing(sqlite3.connect(path)) as connection:
            return connection.execute("SELECT * FROM stock ORDER BY id").fetchall()
    assert post(id="", name="Ada's <tea> 100%", count="3") == 303
    assert post(id="", name="jam", count="none") == 303
    assert rows() == [(1, "Ada's <tea> 100%", 3), (2, "jam", 0)]
    assert 'value="Ada&#39;s &lt;tea&gt; 100%"' in visitor.serve(page).text
    assert post(id="2", name="jam", count="7") == 303
    assert post(id="1", name="", delete="yes") == 303
    assert post(id="2' OR '1' = '1", name="gone", delete="yes") == 303
    assert rows() == [(2, "jam", 7)]
    assert post(token="none", id="2", delete="yes") == 200
    assert rows() == [(2, "jam", 7)]


LOCKS = """
local lfs = require "lfs"
function main()
    local file = io.open("shared", "a")
    local locked, dir = lfs.lock(file, "w"), lfs.lock_dir(Dir())
    Flush() Receive()
    Send(tostring(locked), " ", tostring(dir ~= nil))
    if dir then dir:free() end
    file:close()
end"""


@needs("lfs", "lua-filesystem")
def test_of_the_locks_of_lfs_only_a_directory_keeps_states_apart(web):
    """Should lfs.lock do it one day, the page is to say so."""
    page = web.script(LOCKS)
    first, second = web.hold(page), web.hold(page)
    assert [c.end().response().raw for c in (first, second)] == [b"true true", b"true false"]
