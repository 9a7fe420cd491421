"""A Debian tree as a machine: commands in it by chroot, or booted under systemd.

    machine.py TREE    boots it once: exit status 0 when that works here, 77 when not
"""

import contextlib
import ctypes
import http.server
import itertools
import json
import os
import shlex
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.dirname(HERE))

from waiting import wait_until

SOURCE = "/usr/src/luafcgid2"  # in the tree
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def make(tree, targets):
    return tree.run("cd %s && make %s" % (SOURCE, targets), timeout=600)


def own_groups(name):
    """Makes a control group of this name below ours where systemd keeps track of processes,
    so that two machines at a time do not take each other's for their own. Returns the
    directories; none where that isn't allowed."""
    with open("/proc/self/cgroup", encoding="ascii") as f:
        groups = [line.rstrip("\n").split(":", 2)[1:] for line in f]
    with open("/proc/self/mountinfo", encoding="utf-8") as f:
        mounts = [(line.split(" - ")[1].split(), line.split()[4]) for line in f]
    made = []
    for controller, group in groups:
        for (kind, _, options), place in mounts:
            if controller == "" and kind == "cgroup2" or (
                    controller == "name=systemd" and kind == "cgroup" and
                    controller in options.split(",")):
                directory = os.path.join(place + group, name)
                with contextlib.suppress(OSError):
                    os.mkdir(directory)
                    made.append(directory)
                break
    return made


class Result:
    def __init__(self, command, done):
        self.command, self.status = command, done.returncode
        self.out, self.err = done.stdout, done.stderr

    def __repr__(self):
        return "%s: status %d\n%s%s" % (self.command, self.status, self.out, self.err)


class Tree:
    """The files, and commands run in them by chroot, without systemd."""

    def __init__(self, root):
        self.root = root
        self.network = None  # the process whose network commands have; None: this one's

    def path(self, name):
        return os.path.join(self.root, name.lstrip("/"))

    def read(self, name):
        with open(self.path(name), encoding="utf-8", errors="replace") as f:
            return f.read()

    def write(self, name, text, mode=0o644):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(self.path(name), mode)

    def exists(self, name):
        return os.path.lexists(self.path(name))

    def prefix(self):
        network = ["nsenter", "-t", str(self.network), "-n"] if self.network else []
        return network + ["chroot", self.root]

    def run(self, command, check=True, timeout=300):
        """A shell command. Its status must be 0, unless `check` is off."""
        done = subprocess.run(
            self.prefix() + ["/usr/bin/env", "-i", "PATH=" + PATH, "HOME=/root", "LANG=C.UTF-8",
                             "SYSTEMD_COLORS=0", "SYSTEMD_PAGER=", "/bin/sh", "-c", command],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            encoding="utf-8", errors="replace", timeout=timeout, check=False)
        result = Result(command, done)
        assert not check or result.status == 0, result
        return result

    def get(self, path):
        """(status, body) of a page on port 80 in its own network."""
        done = subprocess.run(
            ["nsenter", "-t", str(self.network), "-n", sys.executable,
             os.path.join(HERE, "load.py"), "get", path],
            stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=60, check=True)
        status, _, body = done.stdout.decode("utf-8", "replace").partition("\n")
        return int(status), body

    @contextlib.contextmanager
    def own_network(self):
        """Within it, commands have a loopback that nobody else listens on."""
        with subprocess.Popen(["unshare", "--net", "sh", "-c",
                               "ip link set lo up && echo up && exec cat"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
            assert holder.stdout.readline() == b"up\n"
            self.network = holder.pid
            try:
                yield
            finally:
                self.network = None


class Machine(Tree):
    """The same tree, booted, with a loopback network of its own."""

    numbers = itertools.count()

    def __init__(self, root):
        super().__init__(root)
        self.process = None
        self.leader = None
        self.groups = []
        self.console = root + ".console"

    def path(self, name):
        if self.leader is None:
            return super().path(name)
        # As processes inside see it: /run and /tmp are mounted over the tree's.
        return "/proc/%d/root/%s" % (self.leader, name.lstrip("/"))

    def prefix(self):
        return ["nsenter", "-t", str(self.leader), "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w"]

    def boot(self):
        name = "luafcgid2-test-%d-%d" % (os.getpid(), next(self.numbers))
        self.groups = own_groups(name)
        with open(self.console, "wb") as console:
            self.process = subprocess.Popen(
                ["sh", "-c", 'for d in %s; do echo $$ >"$d/cgroup.procs" || :; done; exec "$@"' %
                 shlex.join(self.groups), "sh",
                 "systemd-nspawn", "--quiet", "-D", self.root, "--boot", "--register=no",
                 "--keep-unit", "--console=pipe", "--private-network", "--machine=" + name],
                stdin=subprocess.DEVNULL, stdout=console, stderr=console,
                start_new_session=True)
        try:
            wait_until(self.is_up, "the machine to boot", 180)
        except AssertionError as problem:
            state = self.run("systemctl is-system-running; systemctl list-jobs --no-pager; "
                             "systemctl --failed --no-pager", check=False) if self.leader else ""
            self.power_off()
            raise AssertionError("%s\n%s\n%s" % (problem, state, self.console_text())) from None
        return self

    def is_up(self):
        assert self.process.poll() is None, self.console_text()
        self.leader = self.network = self.find_leader()
        if self.leader is None:
            return False
        state = self.run("systemctl is-system-running", check=False).out.strip()
        return state in ("running", "degraded")

    def find_leader(self):
        """The machine's process 1: systemd-nspawn's child, once that has executed init."""
        try:
            with open("/proc/%d/task/%d/children" % (2 * (self.process.pid,)),
                      encoding="ascii") as f:
                children = f.read().split()
            for child in children:
                with open("/proc/%s/comm" % child, encoding="ascii") as f:
                    if f.read() == "systemd\n":
                        return int(child)
        except (FileNotFoundError, ProcessLookupError):
            pass  # it has just ended
        return None

    def console_text(self):
        with open(self.console, encoding="utf-8", errors="replace") as f:
            return f.read()

    def power_off(self):
        if self.process.poll() is None and self.leader:
            self.run("systemctl --no-block poweroff", check=False)
            try:
                self.process.wait(100)
            except subprocess.TimeoutExpired:
                pass
        if self.process.poll() is None:
            self.process.kill()  # its children die with it
        self.process.wait()
        for group in self.groups:
            for directory, _, _ in os.walk(group, topdown=False):
                with contextlib.suppress(OSError):  # somebody may still be about to end
                    os.rmdir(directory)
        self.groups = []

    # -- What an administrator looks at --

    def show(self, unit="luafcgid2.service", **properties):
        text = self.run("systemctl show %s" % unit).out
        return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)

    def property(self, name, unit="luafcgid2.service"):
        return self.run("systemctl show -P %s %s" % (name, unit)).out.strip()

    def pid(self):
        return int(self.property("MainPID"))

    def signal(self, name):
        self.run("kill -%s %d" % (name, self.pid()))

    def journal(self, unit="luafcgid2"):
        self.run("journalctl --sync")
        lines = self.run("journalctl --no-pager -o json -u %s" % unit).out.splitlines()
        return [json.loads(line) for line in lines]

    def load(self, path, clients=4):
        return Load(self, path, clients)


class Load:
    """Requests without pause, from entering the block to leaving it."""

    def __init__(self, machine, path, clients):
        self.command = ["nsenter", "-t", str(machine.leader), "-n", sys.executable,
                        os.path.join(HERE, "load.py"), "load", path, str(clients)]
        self.process = None
        self.good, self.failures = 0, []

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, encoding="utf-8")
        assert self.process.stdout.readline() == "first answers are there\n"
        return self

    def __exit__(self, *_):
        out, _ = self.process.communicate("", timeout=60)
        result = json.loads(out)
        self.good, self.failures = result["good"], result["failures"]


def ask_mirror(url, headers):
    """Its answer. A mirror can be busy, or out of reach, for a moment."""
    for pause in (2, 10, None):
        try:
            return urllib.request.urlopen(urllib.request.Request(url, headers=headers),
                                          timeout=60)
        except urllib.error.HTTPError as error:
            if error.code < 500 or pause is None:
                return error
        except OSError:
            if pause is None:
                raise
        time.sleep(pause)


class Stopwatch:
    """How long it was that at least one thread was within it."""

    def __init__(self):
        self.lock = threading.Lock()
        self.within, self.since, self.seconds = 0, None, 0.0

    def __enter__(self):
        with self.lock:
            if self.within == 0:
                self.since = time.monotonic()
            self.within += 1

    def __exit__(self, *_):
        with self.lock:
            self.within -= 1
            if self.within == 0:
                self.seconds += time.monotonic() - self.since


class PackageProxy:
    """An HTTP proxy for apt, at `url`: it listens inside the machine, which has no
    network but its loopback, and asks from outside."""

    downloads = Stopwatch()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            with PackageProxy.downloads:
                self.pass_on()

        def pass_on(self):
            wanted = {name: self.headers[name] for name in ("Range", "If-Range",
                                                            "If-Modified-Since")
                      if name in self.headers}
            try:
                answer = ask_mirror(self.path, wanted)
            except OSError as problem:
                self.send_error(504, explain=str(problem))
                return
            with answer:
                self.send_response(answer.status)
                for name in ("Content-Length", "Content-Range", "Last-Modified"):
                    if name in answer.headers:
                        self.send_header(name, answer.headers[name])
                if "Content-Length" not in answer.headers:
                    self.send_header("Connection", "close")
                self.end_headers()
                shutil.copyfileobj(answer, self.wfile)

        def log_message(self, *_):
            pass

    def __init__(self, machine):
        self.machine, self.server, self.url = machine, None, None

    def listen_inside(self):
        """Only this thread goes into the machine's network, and ends there."""
        with open("/proc/%d/ns/net" % self.machine.leader, encoding="ascii") as network:
            if ctypes.CDLL(None, use_errno=True).setns(network.fileno(), 0) != 0:
                raise OSError(ctypes.get_errno(), "setns")
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.Handler)

    def __enter__(self):
        thread = threading.Thread(target=self.listen_inside)
        thread.start()
        thread.join()
        assert self.server, "no proxy in the machine's network"
        self.url = "http://127.0.0.1:%d" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


if __name__ == "__main__":
    machine = Machine(sys.argv[1])
    try:
        machine.boot()
    except (AssertionError, OSError) as problem:
        print("the machine did not boot:", problem, file=sys.stderr)
        sys.exit(77)
    machine.power_off()
