"""What the tests run: a site of scripts, the daemon, nginx in front of it.

Everything lives in temporary directories with short names (a unix socket's path has at
most 107 bytes), is started in the foreground and stopped by its process id.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess

import fastcgi
import waiting

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BINARY = os.path.abspath(os.environ.get("LUAFCGID2", os.path.join(ROOT, "luafcgid2")))


def hasty():
    """The same program with a tenth of the times that nobody can set (make hasty); or, where
    it was not made, is older, or LUAFCGID2_PATIENT is set, the program itself."""
    build = os.path.dirname(BINARY)
    if build == ROOT:
        build = os.path.join(ROOT, ".build", "release")
    path = os.path.join(build, "hasty", "luafcgid2")
    if (os.environ.get("LUAFCGID2_PATIENT") or not os.path.exists(path) or
            os.path.getmtime(path) < os.path.getmtime(BINARY)):
        return BINARY
    return path


HASTY = hasty()
HURRY = 1 if HASTY == BINARY else 10  # by which those times are divided


def sanitizer():
    """"thread", "address" or None: what the binary was built with."""
    with open(BINARY, "rb") as f:
        code = f.read()
    return ("thread" if b"__tsan_init" in code else
            "address" if b"__asan_init" in code else None)


def emulated():
    """Whether the binary is a script that has an emulator run the program."""
    with open(BINARY, "rb") as f:
        return f.read(2) == b"#!"


SANITIZER = sanitizer() if os.path.exists(BINARY) else None
EMULATED = os.path.exists(BINARY) and emulated()
# Lua that holds its worker until the body has come: where Lua cannot yield, no wait gives
# the worker back.
BLOCK = "string.gsub('x', 'x', function() Receive() end)"
# Lua in which its worker is stuck: no limit reaches it.
STUCK = ("table.insert(setmetatable({}, {__len = function() return math.maxinteger - 2 end}), "
         "1, 1)")
PATIENCE = 40 if SANITIZER or EMULATED else 15  # seconds for anything that should happen soon


def wait_until(condition, what, timeout=PATIENCE):
    """That of waiting.py, with the patience of these tests."""
    return waiting.wait_until(condition, what, timeout)


def compile_module(path, source):
    """Makes a C module for Lua. Returns its path."""
    found = subprocess.run(["pkg-config", "--cflags", "lua5.3"], capture_output=True, text=True,
                           check=False)
    flags = found.stdout.split() if found.returncode == 0 else ["-I/usr/include/lua5.3"]
    subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-x", "c", *flags, "-",
                    "-o", path], input=source.encode(), check=True)
    return path


def ports():
    """Numbers below those that the system gives to whoever connects. Each process of tests,
    of one run or of several side by side, has its own: it holds a name for them, of which
    there is one in a network (unix(7): abstract) and none after its end."""
    firsts, size = range(20000, 32000, 500), 500
    for first in firsts:
        holder = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            holder.bind("\0luafcgid2-tests-%d" % first)
        except OSError:
            holder.close()
            continue
        return holder, itertools.cycle(range(first, first + size))
    first = firsts[os.getpid() % len(firsts)]
    return None, itertools.cycle(range(first, first + size))


HOLDER, PORTS = ports()


def free_port(host="127.0.0.1"):
    """One that nobody listens on, nor will by chance until the caller does."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in itertools.islice(PORTS, 500):
        with socket.socket(family, socket.SOCK_STREAM) as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                s.bind((host, port))
                return port
    raise AssertionError("no port is free on " + host)


def read(path):
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as f:
            return f.read()
    except (FileNotFoundError, ProcessLookupError):  # the latter of a process that has ended
        return ""


def vanish(directory):
    """Removes a directory at once, so that nobody makes a file in it meanwhile."""
    os.rename(directory, directory + ".gone")
    shutil.rmtree(directory + ".gone")


def lua(value):
    """A Python value as a Lua expression."""
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (str, bytes)):
        special = {34: '\\"', 92: "\\\\"}
        return '"%s"' % "".join(
            special.get(b) or (chr(b) if 32 <= b < 127 else "\\%03d" % b)
            for b in fastcgi.as_bytes(value))
    if isinstance(value, dict):
        return "{%s}" % ", ".join("[%s] = %s" % (lua(k), lua(v)) for k, v in value.items())
    return "{%s}" % ", ".join(lua(v) for v in value)


class Site:
    """A document root."""

    def __init__(self, root):
        self.root = root
        os.makedirs(root, exist_ok=True)
        os.chmod(root, 0o755)

    def path(self, name):
        return os.path.join(self.root, name.lstrip("/"))

    def write(self, name, text, mtime=None):
        """Puts a whole file in place at once, as a careful editor does. Returns its path."""
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path + ".new", "wb") as f:
            f.write(fastcgi.as_bytes(text))
        if mtime is not None:
            os.utime(path + ".new", ns=(mtime, mtime))
        os.rename(path + ".new", path)
        return path

    def overwrite(self, name, text):
        """Writes into the file that is there: same inode."""
        with open(self.path(name), "r+b", buffering=0) as f:
            data = fastcgi.as_bytes(text)
            f.write(data)
            f.truncate(len(data))

    def remove(self, name):
        os.remove(self.path(name))

    def params(self, path, method="GET", query="", body=None, **more):
        """What nginx with its fastcgi_params sends. None in `more` leaves a name out."""
        params = {
            "SCRIPT_FILENAME": self.path(path),
            "QUERY_STRING": query,
            "REQUEST_METHOD": method,
            "CONTENT_TYPE": "application/x-www-form-urlencoded" if body else "",
            "CONTENT_LENGTH": len(body) if body else "",
            "SCRIPT_NAME": "/" + path.lstrip("/"),
            "REQUEST_URI": "/" + path.lstrip("/") + ("?" + query if query else ""),
            "DOCUMENT_URI": "/" + path.lstrip("/"),
            "DOCUMENT_ROOT": self.root,
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REQUEST_SCHEME": "http",
            "GATEWAY_INTERFACE": "CGI/1.1",
            "SERVER_SOFTWARE": "nginx/1.22.1",
            "REMOTE_ADDR": "127.0.0.1",
            "REMOTE_PORT": "51234",
            "SERVER_ADDR": "127.0.0.1",
            "SERVER_PORT": "80",
            "SERVER_NAME": "localhost",
            "REDIRECT_STATUS": "200",
            "HTTP_HOST": "localhost",
            "HTTP_USER_AGENT": "test",
        }
        params.update(more)
        return {k: v for k, v in params.items() if v is not None}


class LogLine:
    """One line of the daemon's log, taken apart."""

    PATTERN = re.compile(
        r"(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (?P<level>error|warning|info|debug|\.\.\.)"
        r"(?: worker (?P<worker>\d+))?(?: (?P<script>\S.*?))?: (?P<text>.*?)"
        r"(?P<request>, client: \S+, request: \"[^\"]*\", id: \S+)?")

    def __init__(self, line):
        self.line = line
        if line.startswith("{"):  # LogFormat = "json"
            fields = json.loads(line)
            self.time, self.level, self.text = (
                fields[name] for name in ("time", "level", "message"))
            self.worker, self.script = fields.get("worker"), fields.get("script")
            self.request = None
            return
        found = self.PATTERN.fullmatch(line)
        assert found, "not a line of the log's form: %r" % line
        (self.time, self.level, self.worker, self.script, self.text,
         self.request) = found.groups()

    def inherit(self, levels):
        """Of a line that continues another of its thread: the level of that."""
        self.continues = self.level == "..."
        if self.continues:
            self.level = levels.get(self.worker, "...")
        levels[self.worker] = self.level

    def __repr__(self):
        return self.line


class Daemon:
    """The daemon, in the foreground, with a configuration of its own.

    `options` are configuration names and Python values; `config` is Lua text that goes
    before them. `site` is where request paths are looked up.
    """

    def __init__(self, directory, site=None, config="", **options):
        self.directory, self.site = directory, site
        self.address = os.path.join(directory, "s")
        self.log_path = os.path.join(directory, "log")
        self.config_path = os.path.join(directory, "config.lua")
        self.stderr_path = os.path.join(directory, "stderr")
        self.options = {"Listen": self.address, "LogFilePath": self.log_path,
                        "MinFileInfoTime": 50, **options}
        self.config = config
        self.binary = BINARY
        self.process = None
        self.pid = None
        self.expected_status = 0
        self.warns = None         # pattern of what the configuration is warned about
        self.any_stderr = False   # a test that wants something there says so
        self.any_errors = False   # in the log
        self.declared = []        # patterns of errors that were expected
        self.mark = 0             # where in the log the current test began
        self.idle = None          # its pid, and its threads before it served a script
        self.scripts = itertools.count(1)
        self.write_config()

    # -- the process --

    def write_config(self, config=None, **options):
        """Changes options in the configuration file; None takes one out."""
        self.config = self.config if config is None else config
        self.options.update(options)
        written = dict(self.options)
        if isinstance(written.get("WorkerThreads"), int):  # a test that counts them wants no more
            written.setdefault("WorkerThreadsMax", written["WorkerThreads"])
        with open(self.config_path + ".new", "w", encoding="ascii") as f:
            f.write(self.config + "\n")
            f.writelines("%s = %s\n" % (k, lua(v))
                         for k, v in written.items() if v is not None)
        os.rename(self.config_path + ".new", self.config_path)

    def environment(self):
        reports = "log_path=%s:" % os.path.join(self.directory, "sanitizer")
        return dict(os.environ, **{
            name: reports + os.environ.get(name, "")
            for name in ("ASAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS")})

    def start(self, wait=True, arguments=None, **popen):
        popen = {"cwd": self.directory, "env": self.environment(), **popen}
        with open(self.stderr_path, "ab") as err:
            self.process = subprocess.Popen(
                [self.binary] + (["-c", self.config_path] if arguments is None else arguments),
                stdin=subprocess.DEVNULL, stdout=err, stderr=err, **popen)
        self.pid = self.process.pid
        if wait:
            try:
                wait_until(self.accepts, "the daemon to accept connections")
            except BaseException:
                self.process.kill()
                self.process.wait()
                raise
        return self

    def accepts(self):
        assert self.process.poll() is None, (
            "the daemon ended with status %s: %s" % (self.process.returncode, self.stderr()))
        return self.accepts_new()

    def accepts_new(self):
        """Whether anybody can still connect, be the process alive or not."""
        try:
            fastcgi.Connection(self.address).close()
        except OSError:
            return False
        return True

    def running(self):
        return self.process is not None and self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, timeout=PATIENCE):
        """The exit status."""
        return self.process.wait(timeout)

    def stop(self):
        """Ends it, and checks that it ended well and had nothing to complain about."""
        if self.running():
            self.process.terminate()
            try:
                self.process.wait(35)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError("the daemon did not end on SIGTERM\n" + self.log())
        reports = [read(os.path.join(self.directory, name))
                   for name in sorted(os.listdir(self.directory))
                   if name.startswith("sanitizer")]
        assert not reports, "sanitizer:\n" + "\n".join(reports)
        assert self.process.returncode == self.expected_status, (
            "exit status %s\n%s\n%s" % (self.process.returncode, self.stderr(), self.log()))
        said = [line for line in self.stderr().splitlines() if not self.is_warning(line)]
        assert self.any_stderr or not said, "standard error:\n" + "\n".join(said)
        self.check_log()

    def is_warning(self, line):
        """Whether a line of standard error warns of the configuration, as the test said."""
        return self.warns is not None and re.search(
            r"Z warning: %s: .*(%s)" % (re.escape(self.config_path), self.warns), line)

    def threads(self, name=None):
        """How many there are, or how many of that name: "worker", "closer"."""
        # It accepts before all of its threads run.
        wait_until(lambda: " started: " in read(self.log_path), "all threads to run")
        tasks = "/proc/%d/task/" % self.pid
        names = [read(tasks + task + "/comm").strip() for task in os.listdir(tasks)]
        return len([n for n in names if n and name in (None, n)])

    def idle_threads(self):
        """How many there are while no second closer helps the first. Asked for before the
        first script is served, as none has been there yet; later it remembers."""
        if self.idle is None or self.idle[0] != self.pid:
            self.idle = self.pid, self.threads()
        return self.idle[1]

    def descriptors(self):
        """What each open descriptor is."""
        directory, links = "/proc/%d/fd" % self.pid, []
        for fd in os.listdir(directory):
            with contextlib.suppress(FileNotFoundError):
                links.append(os.readlink(os.path.join(directory, fd)))
        return links

    def rss(self):
        """Resident memory, in bytes."""
        status = read("/proc/%d/status" % self.pid)
        return int(re.search(r"VmRSS:\s*(\d+) kB", status).group(1)) * 1024

    def stderr(self):
        return read(self.stderr_path)

    def reload(self, config=None, **options):
        """Changes the configuration, sends HUP and waits until the log says how that ended."""
        self.write_config(config, **options)
        seen = len(self.log())
        self.signal(signal.SIGHUP)
        return self.wait_log(r"configuration (was not )?reloaded", since=seen)

    # -- the log --

    def log(self):
        return read(self.log_path)

    def lines(self, since=None):
        """The log's whole lines since the current test began."""
        text = self.log()[self.mark if since is None else since:]
        lines, levels = [], {}  # by worker; what continues a line has its level
        for line in text[:text.rfind("\n") + 1].split("\n"):
            if line:
                lines.append(LogLine(line))
                lines[-1].inherit(levels)
        return lines

    def wait_log(self, pattern, level=None, since=None, timeout=PATIENCE):
        """The first line that matches, as soon as there is one."""
        def find():
            for line in self.lines(since):
                if re.search(pattern, line.line) and level in (None, line.level):
                    return line
            return None
        return wait_until(find, "%r in the log:\n%s" % (pattern, self.log()[-4000:]), timeout)

    def expect_error(self, pattern):
        """Waits for an error that matches; it, and what else is said of that script, is no
        fault of the test's."""
        line = self.wait_log(pattern, "error")
        self.declared.append(line)
        return line

    def check_log(self):
        """No error but the expected ones."""
        wrong = [line for line in self.lines()
                 if line.level == "error" and not self.any_errors and
                 not any(line.line == d.line or d.script and line.script == d.script
                         for d in self.declared)]
        assert not wrong, "errors in the log:\n" + "\n".join(map(repr, wrong[:20]))

    def left_open(self):
        """What scripts of earlier tests have open: their sites are gone, so their states are
        about to be closed."""
        return [link for link in self.descriptors() if link.startswith("pipe:") or
                link.endswith(" (deleted)") and not link.startswith("/memfd:")]

    def begin_test(self, site):
        self.site = site
        self.mark = len(self.log())
        self.declared, self.any_errors = [], False

    # -- requests --

    def request(self, path, method="GET", body=b"", query="", keep=False, timeout=PATIENCE,
                site=None, **params):
        """A whole request for a path of the site. `params` are added; None removes one.
        A body that is no bytes is an iterable of parts, sent without CONTENT_LENGTH."""
        if isinstance(body, str):
            body = body.encode()
        if not isinstance(body, bytes):
            params.setdefault("CONTENT_LENGTH", None)
        known = body if isinstance(body, bytes) else None
        return fastcgi.request(
            self.address,
            (site or self.site).params(path, method, query, known, **params),
            body, keep, timeout)

    def get(self, path, query="", **params):
        return self.request(path, "GET", b"", query, **params)

    def post(self, path, body, query="", **params):
        return self.request(path, "POST", body, query, **params)

    def connect(self, timeout=PATIENCE):
        return fastcgi.Connection(self.address, timeout)

    def open(self, path, method="POST", query="", keep=False, **params):
        """A connection on which a request has begun; its body has not."""
        params.setdefault("CONTENT_LENGTH", None)
        return self.connect().begin(self.site.params(path, method, query, **params), keep)

    def hold(self, path, **request):
        """A request whose script is known to run: it has called Flush() and now waits for
        the end of its body."""
        connection = self.open(path, **request)
        connection.read_until("\r\n\r\n")
        return connection

    def waiting(self):
        """How many requests wait without a worker; for a daemon whose StatusPath is /status."""
        page = self.request("/status", "GET", query="json&full", SCRIPT_NAME="/status")
        return json.loads(page.text)["requests"]["waiting"]

    def script(self, source):
        """Writes a script under a new name, and returns that."""
        name = "s%d.lua" % next(self.scripts)
        self.site.write(name, source)
        return name

    def run(self, source, method="GET", **request):
        """Serves a script once."""
        return self.request(self.script(source), method, **request)

    def main(self, code, method="GET", **request):
        """Serves a script whose main is this code; the answer must be in order."""
        response = self.run("function main(env, con)\n%s\nend" % code, method, **request)
        assert response.ended and not response.stderr, response
        return response

    def value(self, expression, **request):
        """What a Lua expression is, as tostring writes it."""
        response = self.main("Send(tostring(%s))" % expression, **request)
        assert response.status == 200, response
        return response.text


class HTTPConnection(http.client.HTTPConnection):
    """One that a `with` closes."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class UnixHTTPConnection(HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Nginx:
    """nginx in front of a daemon, on a unix socket, or with `tcp` on 127.0.0.1.

    `keepalive` idle connections to the daemon are kept; 0 opens one for each request.
    `location` is more text for the location of scripts, `server` for the server block.
    """

    CONFIG = """
        daemon off; pid {directory}/nginx.pid; error_log {directory}/nginx.log error;
        worker_processes 1;
        {user}
        events {{ worker_connections 512; }}
        http {{
            access_log off;
            client_max_body_size 64m;
            keepalive_requests 10000000;
            client_body_temp_path {directory}/body;
            fastcgi_temp_path {directory}/fastcgi;
            proxy_temp_path {directory}/proxy;
            uwsgi_temp_path {directory}/uwsgi;
            scgi_temp_path {directory}/scgi;
            upstream lua {{
                server {upstream};
                {keepalive}
            }}
            server {{
                listen {listen};
                server_name localhost;
                root {root};
                {server}
                location ~ \\.lua$ {{
                    fastcgi_pass   lua;
                    fastcgi_param  SCRIPT_FILENAME  $document_root$fastcgi_script_name;
                    include        /etc/nginx/fastcgi_params;
                    {location}
                }}
            }}
        }}
    """

    def __init__(self, directory, daemon, site, keepalive=0, tcp=False, location="",
                 server=""):
        self.directory = directory
        self.port = free_port() if tcp else None
        self.socket = os.path.join(directory, "http")
        self.any_errors = False
        self.process = None
        address = daemon.address
        if keepalive:
            location += "\nfastcgi_keep_conn on;"
        with open(os.path.join(directory, "nginx.conf"), "w", encoding="ascii") as f:
            f.write(self.CONFIG.format(
                directory=directory, root=site.root, server=server, location=location,
                user="user root;" if os.geteuid() == 0 else "",
                upstream="unix:" + address if isinstance(address, str) else "%s:%d" % address,
                listen="127.0.0.1:%d" % self.port if tcp else "unix:" + self.socket,
                keepalive="keepalive %d;" % keepalive if keepalive else ""))

    def start(self):
        program = shutil.which("nginx") or "/usr/sbin/nginx"
        with open(os.path.join(self.directory, "stderr"), "wb") as err:
            self.process = subprocess.Popen(
                [program, "-p", self.directory, "-c", self.directory + "/nginx.conf",
                 "-e", self.directory + "/nginx.log"],
                stdin=subprocess.DEVNULL, stdout=err, stderr=err)
        try:
            wait_until(self.accepts, "nginx to accept connections")
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise
        return self

    def accepts(self):
        assert self.process.poll() is None, read(os.path.join(self.directory, "stderr"))
        try:
            self.connect().close()
        except OSError:
            return False
        return True

    def errors(self):
        return read(os.path.join(self.directory, "nginx.log"))

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.terminate()
                self.process.wait(PATIENCE)
        assert self.any_errors or not self.errors(), "nginx:\n" + self.errors()

    def connect(self, timeout=PATIENCE):
        """A connection that is made already."""
        connection = (HTTPConnection("127.0.0.1", self.port, timeout=timeout)
                      if self.port else UnixHTTPConnection(self.socket, timeout))
        connection.connect()
        return connection

    def request(self, path, method="GET", body=None, connection=None, **headers):
        """An http.client response, its body read into `content`. `headers` have _ for -.
        A body that is an iterator goes out chunked."""
        own = connection or self.connect()
        try:
            own.request(method, "/" + path.lstrip("/"), body,
                        {name.replace("_", "-"): value for name, value in headers.items()})
            response = own.getresponse()
            response.content = response.read()
            return response
        finally:
            if connection is None:
                own.close()

    def get(self, path, **headers):
        return self.request(path, **headers)

    def post(self, path, body, **headers):
        return self.request(path, "POST", body, **headers)
