"""Debian's modules for Lua in eight states of one script, all at work at once: LuaSocket,
lua-redis, luasql-sqlite3, lua-cjson and luafilesystem. Under ThreadSanitizer and
AddressSanitizer, too: what those say is an error of the daemon (servers.py)."""

import collections
import json
import os
import shutil
import socketserver
import sqlite3
import subprocess
import threading

import pytest

from servers import lua
from test_wait_redis import Redis

STATES, CLIENTS, REQUESTS = 8, 16, 12
MODULES = {"socket": "lua-socket", "redis": "lua-redis", "luasql.sqlite3": "lua-sql-sqlite3",
           "cjson": "lua-cjson", "lfs": "lua-filesystem"}


def missing():
    found = [package for module, package in MODULES.items()
             if subprocess.run(["lua5.3", "-e", "require '%s'" % module], check=False,
                               stderr=subprocess.DEVNULL).returncode != 0]
    return found + ([] if shutil.which("redis-server") else ["redis-server"])


MISSING = missing()
pytestmark = pytest.mark.skipif(bool(MISSING) and not os.environ.get("CI"),
                                reason="not installed: " + ", ".join(MISSING))


class Echo(socketserver.ThreadingTCPServer):
    """Sends each line back."""

    allow_reuse_address = daemon_threads = True
    request_queue_size = 2 * CLIENTS

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            for line in self.rfile:
                self.wfile.write(b"echo " + line)

    def __init__(self):
        super().__init__(("127.0.0.1", 0), self.Handler)
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, daemon=True).start()


@pytest.fixture
def echo():
    with Echo() as server:
        yield server
        server.shutdown()


@pytest.fixture
def redis(scratch):
    server = Redis(scratch())
    yield server
    server.stop()


@pytest.fixture
def database(scratch):
    path = os.path.join(scratch(), "notes.db")
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE notes (state INTEGER, text TEXT)")
    return path


# What each of the modules is asked to do, as a function that takes the request's own text.
WORK = {
    "socket": """
        local socket = require "socket"
        local line = assert(socket.connect("127.0.0.1", {echo}))
        line:settimeout(30)
        assert(line:send(text .. "\\n"))
        local answer = assert(line:receive())
        line:close()
        assert(answer == "echo " .. text, answer)""",
    "redis": """
        local redis = require "redis"
        clients = clients or redis.connect("127.0.0.1", {redis})
        clients:rpush("list", text)
        clients:set("key " .. text, text:rep(100))
        assert(clients:get("key " .. text) == text:rep(100))
        clients:incr("count")""",
    "sqlite": """
        if not connection then
            connection = assert(require("luasql.sqlite3").sqlite3():connect({database}))
            assert(connection:execute("PRAGMA busy_timeout = 30000"))
            assert(connection:execute("PRAGMA synchronous = OFF"))  -- a disk may be slow
        end
        assert(connection:execute(("INSERT INTO notes VALUES (%d, '%s')"):format(
            Info.State, connection:escape(text))))
        local cursor = assert(connection:execute("SELECT count(*) FROM notes"))
        assert(tonumber((cursor:fetch())) > 0)
        cursor:close()""",
    "cjson": """
        local cjson = require "cjson"
        local value = {{text = text, list = {{1, 2.5, true, cjson.null}}}}
        for i = 1, 100 do value.list[4 + i] = {{key = text .. i}} end
        for _ = 1, 5 do value = cjson.decode(cjson.encode(value)) end
        assert(value.text == text and value.list[104].key == text .. 100)
        assert(not pcall(cjson.decode, "[1, 2"))""",
    "lfs": """
        local lfs = require "lfs"
        local name = "made " .. text
        assert(lfs.mkdir(name) and lfs.rmdir(name))
        local seen = {{}}
        for entry in lfs.dir(Dir()) do seen[#seen + 1] = entry end
        assert(#seen > 2 and lfs.attributes(Dir(), "mode") == "directory")
        assert(lfs.attributes("all.lua", "size") > 100)""",
}


def script(site, echo, redis, database):
    """One that does all of it, in an order that differs from request to request."""
    places = {"echo": echo.port, "redis": redis.port, "database": lua(database)}
    parts = ["work[#work + 1] = function(text)%s\nend" % code.format(**places)
             for code in WORK.values()]
    site.write("all.lua", """
        local work = {}
        %s
        function main()
            local text = lf.query().text
            local first = #text + text:byte(-1)
            for i = 1, #work do work[(first + i) %% #work + 1](text) end
            return require("cjson").encode({state = Info.State, text = text})
        end""" % "\n".join(parts))
    return "all.lua"


def test_eight_states_use_debians_modules_at_once(daemon, site, echo, redis, database):
    d = daemon(WorkerThreads=STATES, LuaStates=STATES, LuaMaxStates=STATES,
               LuaMaxSearchRetries=50)
    page = script(site, echo, redis, database)
    answers, texts = [], ["c%d-%d" % (c, i) for c in range(CLIENTS) for i in range(REQUESTS)]

    def client(own):
        for text in own:
            answers.append(d.get(page, "text=" + text))
    clients = [threading.Thread(target=client, args=(texts[c::CLIENTS],)) for c in range(CLIENTS)]
    for c in clients:
        c.start()
    for c in clients:
        c.join()
    assert collections.Counter(a.status for a in answers) == {200: len(texts)}
    said = [json.loads(a.text) for a in answers]
    assert sorted(s["text"] for s in said) == sorted(texts)
    assert len({s["state"] for s in said}) > 1
    with sqlite3.connect(database) as db:
        assert sorted(t for t, in db.execute("SELECT text FROM notes")) == sorted(texts)
    assert redis.ask("LLEN list") == b":%d\r\n" % len(texts)
    assert redis.ask("GET count") == b"$%d\r\n%d\r\n" % (len(str(len(texts))), len(texts))


def test_states_with_open_modules_are_made_and_closed(daemon, site, echo, redis, database):
    """Each request's state is made anew, and the one before is closed beside it."""
    d = daemon(WorkerThreads=4, LuaMaxStates=4, LuaMaxRequests=1)
    page = script(site, echo, redis, database)
    statuses = []

    def client(number):
        statuses.extend(d.get(page, "text=c%d-%d" % (number, i)).status for i in range(6))
    clients = [threading.Thread(target=client, args=(c,)) for c in range(4)]
    for c in clients:
        c.start()
    for c in clients:
        c.join()
    assert statuses == [200] * 24
    with sqlite3.connect(database) as db:
        assert db.execute("SELECT count(*) FROM notes").fetchall() == [(24,)]
