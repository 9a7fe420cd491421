"""Many requests through nginx while files are edited: nothing fails, no memory is lost.

LUAFCGID2_SOAK says how many requests at least. The first tenth of them, and the first 20
edits, are the warming up."""

import os
import re
import select
import threading
import time
import types

import pytest

import servers
from harm import OWN_MEMORY
from servers import wait_until

pytestmark = pytest.mark.alone
REQUESTS = int(os.environ.get("LUAFCGID2_SOAK", "20000"))
CLIENTS = 8
EDITS_PER_SECOND = 20
EDITS = 60          # at least; the first third is warming up
SLACK = 512 << 10   # bytes: the pages of a heap come and go; a leak of 3 bytes a request is more
SMALL = 9 << 19     # bytes, of 4 workers and one script

DAEMON = {"WorkerThreads": 4, "MinFileInfoTime": 50}
ANSWER = re.compile(rb"HTTP/1\.1 200 OK\r\n(?:.+\r\n)+\r\npage \d+ module \d+", re.S)


class Client:
    """One connection that asks again as soon as it has its answer."""

    REQUEST = b"GET /page.lua?q=1 HTTP/1.1\r\nHost: localhost\r\n\r\n"

    def __init__(self, nginx):
        self.sock = nginx.connect().sock
        self.got = b""
        self.ask()

    def ask(self):
        self.sock.sendall(self.REQUEST)

    def read(self):
        """A whole answer, or None while there is none. An end of the stream is one too."""
        data = self.sock.recv(65536)
        self.got += data
        head, found, body = self.got.partition(b"\r\n\r\n")
        length = re.search(rb"Content-Length: (\d+)", head)
        if data and not (found and length and len(body) >= int(length.group(1))):
            return None
        answer, self.got = self.got, b""
        return answer


def edit(site, number):
    """One of the ways files change, in turn."""
    if number % 3 == 0:
        site.write("mod.lua", "return %d" % number)
    elif number % 3 == 1:
        site.write("page.lua", "local m = require 'mod' function main() n = (n or 0) + 1 "
                               "Send('page %d module ', m) end" % number)
    else:
        os.utime(site.path("page.lua"))


def keep_editing(site, result, done):
    began = time.monotonic()
    while not done.wait(max(0, began + result.edits / EDITS_PER_SECOND - time.monotonic())):
        edit(site, result.edits)
        result.edits += 1


def warm(result):
    return result.served >= REQUESTS // 10 and result.edits >= EDITS // 3


def ask_until_enough(clients, daemon, result):
    """The load, and a look at the memory now and then once all is warm."""
    poller = select.poll()
    by_fd = {c.sock.fileno(): c for c in clients}
    for fd in by_fd:
        poller.register(fd, select.POLLIN)
    while result.served < REQUESTS or result.edits < EDITS:
        ready = poller.poll(servers.PATIENCE * 1000)
        assert ready, "no answer for %d s" % servers.PATIENCE
        for fd, _ in ready:
            answer = by_fd[fd].read()
            if answer is None:
                continue
            result.served += 1
            if not ANSWER.fullmatch(answer):
                result.failed.append(answer)
                poller.unregister(fd)
                assert len(result.failed) < CLIENTS, result.failed
                continue
            if result.served % 1000 == 0 and warm(result):
                result.memory.append(daemon.rss())
            by_fd[fd].ask()


@pytest.fixture(scope="module")
def soak(request, module_daemons, module_scratch):
    """Runs it, once for all tests of this file."""
    site = servers.Site(os.path.join(module_scratch(), "www"))
    result = types.SimpleNamespace(served=0, edits=0, failed=[], memory=[], seconds=0, last="")
    for number in range(3):
        edit(site, number if number else 3)
    daemon = module_daemons("soak", request.node, site)
    daemon.begin_test(site)
    nginx = servers.Nginx(module_scratch(), daemon, site, keepalive=CLIENTS).start()
    done = threading.Event()
    editor = threading.Thread(target=keep_editing, args=(site, result, done))
    try:
        clients = [Client(nginx) for _ in range(CLIENTS)]
        editor.start()
        began = time.monotonic()
        ask_until_enough(clients, daemon, result)
        result.seconds = time.monotonic() - began
        done.set()
        editor.join()
        for number in (result.edits, result.edits + 1, result.edits + 2):
            edit(site, number)
        last = {n % 3: n for n in range(result.edits, result.edits + 3)}
        wait_until(lambda: nginx.get("page.lua").content ==
                   b"page %d module %d" % (last[1], last[0]), "the last edit")
        result.memory.append(daemon.rss())
        for c in clients:
            c.sock.close()
        daemon.check_log()
        yield result
    finally:
        done.set()
        nginx.stop()


def test_no_response_fails_while_files_are_edited(soak):
    assert soak.failed == [] and soak.served >= REQUESTS
    assert soak.edits >= soak.seconds * EDITS_PER_SECOND * 0.5, "%d edits in %.1f s" % (
        soak.edits, soak.seconds)


@OWN_MEMORY
def test_memory_stays_flat_and_small(soak, capsys):
    first, peak, last = soak.memory[0], max(soak.memory), soak.memory[-1]
    with capsys.disabled():
        print("\n%d requests in %.1f s, %d edits; resident when warm %d KiB, at most %d KiB, "
              "at the end %d KiB" % (
                  soak.served, soak.seconds, soak.edits, first >> 10, peak >> 10, last >> 10))
    assert peak <= first + SLACK
    assert last <= SMALL
