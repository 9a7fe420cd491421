"""Where it listens: unix sockets, TCP, what is in the way, permissions."""

import os
import re
import signal
import socket
import stat
import subprocess

import pytest

import servers
from servers import free_port, read, wait_until

PAGE = "function main() return 'served' end"


def refused(scratch, site, address, **options):
    """Starts a daemon that must not start; returns what it said. It is not to wait for a
    name server for longer than a test does (resolv.conf(5))."""
    d = servers.Daemon(scratch(), site, Listen=address, **options)
    d.expected_status, d.any_stderr, d.any_errors = 1, True, True
    d.start(wait=False, env=dict(d.environment(), RES_OPTIONS="timeout:1 attempts:1"))
    try:
        wait_until(lambda: not d.running() or "started" in d.log(), "its end")
    finally:
        d.stop()
    said = d.stderr() + d.log()
    assert d.stderr().strip(), "nothing on standard error"
    assert address[:50] in said, said
    return said


# -- unix sockets --

@pytest.mark.parametrize("name", ["Listen", "listen"])
def test_unix_socket_by_either_name(daemon, scratch, name):
    path = os.path.join(scratch(), "own.sock")
    d = daemon(**{"Listen": None, name: path})
    assert d.run(PAGE).text == "served"


def test_stale_socket_is_replaced(daemon, scratch):
    path = os.path.join(scratch(), "s")
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(path)
    assert daemon(Listen=path).run(PAGE).text == "served"


def test_socket_of_a_killed_daemon_is_replaced(daemon):
    first = daemon()
    first.signal(signal.SIGKILL)
    first.expected_status = first.wait()
    assert os.path.exists(first.address)
    assert daemon(Listen=first.address).run(PAGE).text == "served"


def test_live_socket_is_refused_and_left_alone(daemon, scratch, site):
    first = daemon()
    inode = os.stat(first.address).st_ino
    refused(scratch, site, first.address)
    assert os.stat(first.address).st_ino == inode
    assert first.run(PAGE).text == "served"


@pytest.mark.parametrize("waiting", [0, 3], ids=["idle", "its queue full"])
def test_live_socket_of_another_program_is_refused(scratch, site, waiting):
    path = os.path.join(scratch(), "s")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(path)
        other.listen(0 if waiting else 5)
        clients = []
        for _ in range(waiting):
            clients.append(socket.socket(socket.AF_UNIX))
            clients[-1].setblocking(False)
            try:
                clients[-1].connect(path)
            except BlockingIOError:
                break
        refused(scratch, site, path)
        assert stat.S_ISSOCK(os.stat(path).st_mode)
        for c in clients:
            c.close()


def regular(path):
    with open(path, "w", encoding="ascii") as f:
        f.write("precious")


def empty(path):
    open(path, "w", encoding="ascii").close()


def link(path):
    regular(path + ".target")
    os.symlink(path + ".target", path)


@pytest.mark.parametrize("make", [regular, empty, os.mkdir, os.mkfifo, link],
                         ids=lambda m: m.__name__)
def test_any_other_file_is_refused_and_left_alone(scratch, site, make):
    path = os.path.join(scratch(), "s")
    make(path)
    before = os.lstat(path)
    refused(scratch, site, path)
    after = os.lstat(path)
    assert (after.st_ino, after.st_mode, after.st_size, after.st_mtime_ns) == \
        (before.st_ino, before.st_mode, before.st_size, before.st_mtime_ns)


@pytest.mark.parametrize("path", ["/no/such/directory/s", "/proc/s"])
def test_place_where_no_socket_can_be_is_refused(scratch, site, path):
    refused(scratch, site, path)


def test_path_too_long_for_a_socket_is_refused(scratch, site):
    refused(scratch, site, os.path.join(scratch(), "x" * 110))


def test_socket_is_unlinked_only_while_it_is_ours(daemon):
    d = daemon()
    os.rename(d.address, d.address + ".old")
    regular(d.address)
    d.signal(signal.SIGTERM)
    assert d.wait() == 0
    assert read(d.address) == "precious"


@pytest.mark.parametrize("options, mode", [
    ({}, 0o660), ({"ListenMode": "0600"}, 0o600), ({"ListenMode": "0666"}, 0o666),
])
@pytest.mark.parametrize("umask", [0, 0o22, 0o177])
def test_mode_of_the_socket_whatever_the_umask(daemon, options, mode, umask):
    d = daemon(preexec_fn=lambda: os.umask(umask), warns="ListenMode", **options)
    assert stat.S_IMODE(os.stat(d.address).st_mode) == mode


# -- TCP --

def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(("::1", 0))
        return True
    except OSError:
        return False


ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


def listening(port):
    """Local addresses, as /proc writes them, with a listening socket on that port."""
    found = re.findall(r"(?m)^\s*\d+: ([0-9A-F]+):%04X \S+ 0A " % port,
                       read("/proc/net/tcp") + read("/proc/net/tcp6"))
    return set(found)


LOOPBACK, EVERY = "0100007F", "00000000"
LOOPBACK6, EVERY6 = "0" * 24 + "01000000", "0" * 32


def on_tcp(daemon, listen, host, port):
    d = daemon(Listen=listen, wait=False, warns="firewall")
    d.address = (host, port)
    wait_until(d.accepts, "the daemon to accept connections")
    assert d.run(PAGE).text == "served"
    return d


@pytest.mark.parametrize("form", ["127.0.0.1:%d", "localhost:%d", ":%d"])
def test_tcp_on_loopback(daemon, form):
    port = free_port()
    on_tcp(daemon, form % port, "127.0.0.1", port)
    assert listening(port) <= {LOOPBACK, LOOPBACK6} and LOOPBACK in listening(port)


@ipv6
def test_tcp_over_ipv6(daemon):
    port = free_port("::1")
    on_tcp(daemon, "[::1]:%d" % port, "::1", port)
    assert listening(port) == {LOOPBACK6}


def test_tcp_on_every_interface(daemon):
    port = free_port()
    d = on_tcp(daemon, "*:%d" % port, "127.0.0.1", port)
    assert listening(port) <= {EVERY, EVERY6} and listening(port)
    assert "firewall" in d.stderr() + d.log()


def test_tcp_kept_connections_and_large_bodies(daemon):
    port = free_port()
    d = on_tcp(daemon, "127.0.0.1:%d" % port, "127.0.0.1", port)
    page = d.script("function main() Send(Receive()) end")
    body = bytes(range(256)) * 3000
    with d.connect() as c:
        for _ in range(5):
            c.begin(d.site.params(page, "POST"), keep=True).body(body).end()
            assert c.response().body == body
    assert d.post(page, body).body == body


def test_tcp_response_is_not_cut_off_when_the_body_was_not_read(daemon):
    """Closing with unread data would reset the connection and with it the response."""
    port = free_port()
    d = on_tcp(daemon, "127.0.0.1:%d" % port, "127.0.0.1", port)
    page = d.script("function main() return ('y'):rep(500000) end")
    for _ in range(20):
        response = d.post(page, b"x" * 200000)
        assert response.ended and response.body == b"y" * 500000


def test_tcp_port_in_use_is_refused(scratch, site):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        refused(scratch, site, "127.0.0.1:%d" % other.getsockname()[1])


def test_tcp_port_can_be_taken_again_at_once(daemon):
    """Connections of before that linger in the kernel do not stop a restart."""
    port = free_port()
    for _ in range(3):
        d = on_tcp(daemon, "127.0.0.1:%d" % port, "127.0.0.1", port)
        held = d.connect().begin(d.site.params(d.script(PAGE)), keep=True).end()
        held.response()
        d.signal(signal.SIGTERM)
        assert d.wait() == 0
        held.close()


def test_host_that_has_no_address_is_refused(scratch, site):
    refused(scratch, site, "no.such.host.invalid:9000")


@pytest.mark.parametrize("address", ["192.0.2.1:%d", "[2001:db8::1]:%d"])
def test_address_that_is_not_there_yet_can_be_listened_on(daemon, address):
    """As at boot, before DHCP has answered."""
    d = daemon(Listen=address % free_port(), wait=False)
    d.wait_log("started")
    assert d.running()


@pytest.mark.parametrize("listen", ["tcp://127.0.0.1:9000", "unix:///tmp/s", "fcgi://h:9000"])
def test_listen_that_looks_like_an_address_of_the_web_is_refused(site, scratch, listen):
    path = os.path.join(scratch(), "config.lua")
    with open(path, "w", encoding="ascii") as f:
        f.write("Listen = %r" % listen)
    done = subprocess.run([servers.BINARY, "-t", "-c", path], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, encoding="utf-8", check=False)
    assert done.returncode == 1 and "Listen" in done.stdout and "host:port" in done.stdout
