"""The servers of the benchmark: starting, stopping, watching. All of them live in one
temporary directory, listen on unix sockets in it or on 127.0.0.1, and are stopped by the
pid that started them."""

import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time

from waiting import wait_until

HERE = os.path.dirname(os.path.abspath(__file__))
SCHEDULER_CLOCK = 2  # of a process: user and system time, to the nanosecond


class Failure(Exception):
    """Something the user should read, without a traceback."""


def program(*patterns):
    """The first program that one of the patterns names; the newest version of several."""
    for pattern in patterns:
        found = shutil.which(pattern) or next(
            iter(sorted(glob.glob("/usr/sbin/" + pattern), reverse=True)), None)
        if found:
            return found
    raise Failure(f"{patterns[0]}: not installed")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def accepts(address):
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as s:
        return s.connect_ex(address) == 0


class Server:
    """One process, or one process and its children, in a session of its own."""

    def __init__(self, directory, name, argv, address, env=None):
        self.name, self.address = name, address
        self.log = os.path.join(directory, name + ".log")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env=env, start_new_session=True)
        try:
            wait_until(self._ready, f"{name} to listen", 15)
        except (AssertionError, Failure) as e:
            self.stop()
            raise Failure(f"{e}\n{self.tail()}") from None

    def _ready(self):
        if self.process.poll() is not None:
            raise Failure(f"{self.name} exited with {self.process.returncode}")
        return accepts(self.address)

    def tail(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return "".join(log.readlines()[-10:])

    def pids(self):
        """The process and its descendants: all of its session."""
        found = []
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    with open(f"/proc/{entry}/stat", encoding="latin-1") as f:
                        fields = f.read().rpartition(")")[2].split()
                except OSError:
                    continue
                if int(fields[3]) == self.process.pid:
                    found.append(int(entry))
        return found

    def cpu(self):
        """Seconds of user and system time of all its processes and threads so far."""
        return sum(time.clock_gettime(~pid << 3 | SCHEDULER_CLOCK) for pid in self.pids())

    def memory(self):
        """Resident bytes. What its processes share is counted once."""
        private, shared = 0, 0
        for pid in self.pids():
            kib = {}
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
                for line in f.readlines()[1:]:
                    name, value = line.split()[:2]
                    kib[name.rstrip(":")] = int(value)
            private += kib["Private_Clean"] + kib["Private_Dirty"]
            shared = max(shared, kib["Shared_Clean"] + kib["Shared_Dirty"])
        return (private + shared) * 1024

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(40)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)  # its session, which is ours
                self.process.wait()


class Park:
    """A temporary directory and the servers that were started in it."""

    def __init__(self, directory, binary, workers):
        self.directory, self.binary, self.workers = directory, binary, workers
        self.site = os.path.join(directory, "site")
        self.servers = {}
        self.user = pwd.getpwuid(os.getuid()).pw_name

    def path(self, name):
        return os.path.join(self.directory, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="ascii") as f:
            f.write(text)
        return self.path(name)

    def template(self, template, name, **values):
        with open(os.path.join(HERE, "conf", template), encoding="ascii") as f:
            text = f.read()
        for key, value in values.items():
            text = text.replace(f"@{key}@", str(value))
        return self.write(name, text)

    def _start(self, name, argv, address):
        self.servers[name] = Server(self.directory, name, argv, address)
        return self.servers[name]

    def stop(self, name):
        self.servers.pop(name).stop()

    def stop_all(self):
        for name in reversed(list(self.servers)):
            self.stop(name)

    def make_site(self):
        shutil.copytree(os.path.join(HERE, "scripts"), self.site)
        with open(os.path.join(self.site, "body.php"), "w", encoding="ascii") as f:
            f.write("<?php\necho '" + "x" * 1024 * 1024 + "';\n")

    def compile(self, name, *libraries):
        subprocess.run([os.environ.get("CC", "cc"), "-std=c11", "-O2", "-D_GNU_SOURCE",
                        "-pthread", "-o", self.path(name),
                        os.path.join(HERE, name + ".c"), *libraries], check=True)

    def responder(self, name, answer, row, threads, *mode):
        """floor or libfcgi."""
        name_here = f"{row}-{answer}"
        sock = self.path(name_here + ".sock")
        return self._start(name_here, [self.path(name), answer, sock, str(threads),
                                       *mode], sock)

    def daemon(self, name, extra="", workers=None, wrapper=()):
        """luafcgid2, with the defaults of its configuration and `extra` lines."""
        sock = self.path(name + ".sock")
        conf = self.template("luafcgid2.lua", name + ".conf", SOCKET=sock,
                             WORKERS=workers or self.workers)
        with open(conf, "a", encoding="ascii") as f:
            f.write(extra)
        return self._start(name, [*wrapper, self.binary, "-c", conf], sock)

    def php(self, name):
        fpm = program("php-fpm", "php-fpm[0-9]*")
        modules = subprocess.run([fpm, "-m"], capture_output=True, text=True, check=True)
        if "OPcache" not in modules.stdout:
            raise Failure("php-fpm has no opcache: the comparison would not be fair")
        sock = self.path(name + ".sock")
        root = os.getuid() == 0
        conf = self.template("php-fpm.conf", name + ".conf", SOCKET=sock,
                             WORKERS=self.workers, USER=f"user = {self.user}" if root else "")
        return self._start(name, [fpm, "-F", "-y", conf] + (["-R"] if root else []), sock)

    def apache(self, name, scope, threads):
        """In a directory of its own; as root its workers are nobody's, for it refuses to
        serve as root."""
        directory, port = self.path(name), free_port()
        os.mkdir(directory, 0o755)
        modules = "/usr/lib/apache2/modules"
        if not os.path.exists(modules + "/mod_lua.so"):
            raise Failure("Apache's mod_lua: not installed")
        user = "User nobody\nGroup nogroup" if os.getuid() == 0 else ""
        conf = self.template("apache.conf", name + ".conf", DIR=directory, PORT=port,
                             USER=user, MODULES=modules, THREADS=threads, SITE=self.site,
                             SCOPE=f"LuaScope {scope}" if scope else "")
        return self._start(name, [program("apache2", "httpd"), "-f", conf, "-DFOREGROUND"],
                           ("127.0.0.1", port))

    def nginx(self, text, port):
        conf = self.write("nginx.conf", text)
        for name in ("body", "fastcgi", "proxy", "scgi", "uwsgi"):
            os.makedirs(self.path("nginx-" + name), 0o700, exist_ok=True)
        return self._start("nginx", [program("nginx"), "-p", self.directory, "-c", conf,
                                     "-e", "stderr"], ("127.0.0.1", port))
