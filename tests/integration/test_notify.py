"""What a service manager is told: a socket of ours in systemd's place."""

import os
import re
import signal
import socket

import pytest

from servers import PATIENCE


class Manager:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        self.socket.settimeout(PATIENCE)

    def next(self, pattern):
        """The next message but those of the heartbeat, which come when they come."""
        text = "WATCHDOG=1"
        while text.startswith("WATCHDOG=1"):
            text = self.socket.recv(4096).decode()
        found = re.fullmatch(pattern, text)
        assert found, text
        return found

    def next_status(self):
        """The next of the heartbeat's: (requests, states, connections)."""
        text = ""
        while not text.startswith("WATCHDOG=1"):
            text = self.socket.recv(4096).decode()
        found = re.fullmatch(r"WATCHDOG=1\nSTATUS=(\d+) requests served, (\d+) Lua states, "
                             r"(\d+) connections", text)
        assert found, text
        return tuple(map(int, found.groups()))


@pytest.fixture
def manager(scratch, monkeypatch):
    path = os.path.join(scratch(), "notify")
    manager = Manager(path)
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    monkeypatch.setenv("WATCHDOG_USEC", "2000000")
    yield manager
    manager.socket.close()


def test_ready_means_that_it_serves(daemon, manager):
    d = daemon(WorkerThreads=1, wait=False)
    manager.next("READY=1")
    assert d.request(d.script("function main() Send('served') end")).text == "served"


def test_a_reload_is_announced_whether_it_succeeds_or_not(daemon, manager):
    d = daemon()
    manager.next("READY=1")
    d.reload(MaxPostSize=4711)
    first = manager.next(r"RELOADING=1\nMONOTONIC_USEC=(\d+)")
    manager.next("READY=1")
    d.reload(MaxPostSize="much")
    second = manager.next(r"RELOADING=1\nMONOTONIC_USEC=(\d+)")
    manager.next("READY=1")
    assert int(first.group(1)) < int(second.group(1))
    d.expect_error("MaxPostSize")
    d.expect_error("not reloaded")


def test_the_end_is_announced_before_running_requests_are_waited_for(daemon, manager):
    d = daemon()
    manager.next("READY=1")
    held = d.hold(d.script("function main() Flush() Send(Receive()) end"))
    d.signal(signal.SIGTERM)
    manager.next("STOPPING=1")
    assert held.body("late").end().response().raw == b"late"
    assert d.wait() == 0


def test_the_heartbeat_feeds_the_watchdog_and_tells_the_state(daemon, manager):
    d = daemon(WorkerThreads=1)  # so that one state serves all of it
    page = d.script("function main() end")
    for _ in range(5):
        d.request(page)
    counted = (-1, -1, -1)
    while counted[0] < 5:
        counted = manager.next_status()
    assert counted[:2] == (5, 1)
