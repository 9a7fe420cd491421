"""Waiting for a real server: LuaSocket's descriptor, and a redis-server whose BLPOP answers
only when there is something. Four workers serve all who wait, and whoever comes beside."""

import contextlib
import shutil
import socket
import subprocess

import pytest

import test_manual
from servers import PATIENCE, free_port, read, wait_until

WAITING = 100

there = pytest.mark.skipif(
    shutil.which("redis-server") is None or
    subprocess.run(["lua5.3", "-e", "require 'socket'"], check=False,
                   stderr=subprocess.DEVNULL).returncode != 0,
    reason="redis-server and lua-socket are not installed")

# The example of luafcgid2-lua(3).
PAGE, = [text for text in test_manual.literals() if "BLPOP" in text]
assert PAGE.count("6379") == 1


class Redis:
    """On a port of its own, without files."""

    def __init__(self, directory):
        self.port = free_port()
        self.output = directory + "/output"
        with open(self.output, "wb") as out:
            self.process = subprocess.Popen(
                ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
                 "--appendonly", "no", "--dir", directory, "--daemonize", "no"],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        try:
            wait_until(self.answers, "redis-server")
        except BaseException:
            self.stop()
            raise

    def answers(self):
        assert self.process.poll() is None, read(self.output)
        with contextlib.suppress(OSError):
            return self.ask("PING") == b"+PONG\r\n"
        return False

    def ask(self, command):
        """The first piece of the answer, which is all of it for what is asked here."""
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as s:
            s.sendall(command.encode() + b"\r\n")
            return s.recv(65536)

    def blocked(self):
        """How many clients wait in BLPOP."""
        return int(self.ask("INFO clients").partition(b"blocked_clients:")[2].split()[0])

    def stop(self):
        self.process.terminate()
        self.process.wait(PATIENCE)


@pytest.fixture
def redis(scratch):
    server = Redis(scratch())
    yield server
    server.stop()


@there
def test_100_requests_wait_for_blpop_on_4_workers(daemon, redis):
    d = daemon(WorkerThreads=4)
    page = d.script(PAGE.replace("6379", str(redis.port)))
    hello = d.script("function main() return 'hello' end")
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(d.open(page, "GET")).end() for _ in range(WAITING)]
        wait_until(lambda: redis.blocked() == WAITING, "all to wait")
        assert d.get(hello).text == "hello"
        assert d.threads("worker") == 4
        names = ["job%d" % i for i in range(WAITING)]
        redis.ask("RPUSH jobs " + " ".join(names))
        answers = [c.response(timeout=PATIENCE) for c in held]
    assert sorted(a.text for a in answers) == sorted("The job is " + name for name in names)
    assert redis.blocked() == 0


@there
def test_server_that_ends_is_seen_by_who_waits(daemon, redis):
    d = daemon(WorkerThreads=2)
    page = d.script(PAGE.replace("6379", str(redis.port)))
    with d.open(page, "GET").end() as c:
        wait_until(lambda: redis.blocked() == 1, "the request to wait")
        redis.stop()
        assert c.response(timeout=PATIENCE).status == 500
    d.expect_error("closed")
