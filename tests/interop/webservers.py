"""Web servers of Debian in front of the daemon, each with the configuration that etc/ has
for it; only the paths and the port in that are changed, which must be found there."""

import contextlib
import http.client
import os
import pwd
import re
import shutil
import subprocess

import servers

ETC = os.path.join(servers.ROOT, "etc")
ROOT = os.geteuid() == 0


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def all(self, name):
        return [v for n, v in self.headers if n.lower() == name.lower()]

    def header(self, name):
        return (self.all(name) or [None])[0]

    def __repr__(self):
        return "%s %s %r" % (self.status, self.headers, self.body[:500])


def program(name):
    found = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    assert found, "%s is not installed" % name
    return found


@contextlib.contextmanager
def in_front(kind, directory, daemon):
    """Starts the daemon and a web server of that kind, for as long as it is needed."""
    if kind.tcp:
        daemon.address = ("127.0.0.1", servers.free_port())
        daemon.write_config(Listen="%s:%d" % daemon.address)
    daemon.start()
    try:
        running = kind(directory, daemon).start()
        try:
            yield running
        finally:
            running.stop()
    finally:
        daemon.stop()


class WebServer:
    """One that speaks HTTP. A subclass says what to run, and from which snippet."""

    name = snippet = None
    tcp = False          # talks to the daemon by TCP
    changes = ()         # (pattern, replacement) to make in the snippet, each needed
    version = ()         # a command, and what in its output is the version
    keeps = True         # connections, as HTTP has them
    chunked_limit = None  # in bytes, of an upload without a length

    def __init__(self, directory, daemon):
        self.directory, self.daemon = directory, daemon
        self.port = servers.free_port()
        self.process = None

    def path(self, name):
        return os.path.join(self.directory, name)

    def values(self):
        address = self.daemon.address
        return {"directory": self.directory, "port": self.port, "root": self.daemon.site.root,
                "socket": address if isinstance(address, str) else "%s:%d" % address}

    def configuration(self):
        """The snippet, at home in this directory."""
        with open(os.path.join(ETC, self.snippet), encoding="utf-8") as f:
            text = f.read()
        for pattern, replacement in self.changes:
            text, count = re.subn(pattern, replacement.format(**self.values()), text,
                                  flags=re.MULTILINE)
            assert count, "%r is not in etc/%s" % (pattern, self.snippet)
        return text

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.write(text)
        return self.path(name)

    def command(self):
        raise NotImplementedError

    def start(self):
        command = self.command()
        with open(self.path("output"), "wb") as out:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=out, cwd=self.directory,
                                            env=dict(os.environ, HOME=self.directory,
                                                     XDG_DATA_HOME=self.directory,
                                                     XDG_CONFIG_HOME=self.directory))
        servers.wait_until(self.accepts, self.name + " to accept connections")
        return self

    def accepts(self):
        assert self.process.poll() is None, servers.read(self.path("output"))
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.connect()
        except OSError:
            return False
        connection.close()
        return True

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(servers.PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    @classmethod
    def full_version(cls):
        command, pattern = cls.version
        done = subprocess.run([program(command[0])] + command[1:], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, encoding="utf-8", check=False)
        found = re.search(pattern, done.stdout)
        assert found, done.stdout
        return "%s %s" % (cls.name, found.group(1))

    def connect(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port,
                                                timeout=servers.PATIENCE)
        connection.connect()
        return connection

    def request(self, path, method="GET", body=None, connection=None):
        own = connection or self.connect()
        try:
            own.request(method, path, body)
            response = own.getresponse()
            return Answer(response.status, response.getheaders(), response.read())
        finally:
            if connection is None:
                own.close()


class Nginx(WebServer):
    name, snippet = "nginx", "nginx/luafcgid2.conf"
    version = ["nginx", "-v"], r"nginx/(\S+)"
    changes = ((r"^ *listen 80;", "listen 127.0.0.1:{port};"),
               (r"^ *listen \[::\]:80;\n", ""),
               (r"/var/www/html", "{root}"),
               (r"unix:[^;]*/luafcgid2\.sock", "unix:{socket}"))

    def command(self):
        self.write("site.conf", self.configuration())
        return [program("nginx"), "-p", self.directory, "-e", self.path("error.log"), "-c",
                self.write("nginx.conf", """
            daemon off; pid {directory}/nginx.pid; error_log {directory}/error.log;
            {user}
            events {{ }}
            http {{
                access_log off;
                client_body_temp_path {directory}/body;
                fastcgi_temp_path {directory}/fastcgi;
                proxy_temp_path {directory}/proxy;
                uwsgi_temp_path {directory}/uwsgi;
                scgi_temp_path {directory}/scgi;
                include /etc/nginx/mime.types;
                include {directory}/site.conf;
            }}""".format(user="user root;" if ROOT else "", **self.values()))]

    def configuration(self):
        # The file is included by its absolute path, and fastcgi_params by Debian's.
        return super().configuration().replace("fastcgi_params;", "/etc/nginx/fastcgi_params;")


class Apache(WebServer):
    name, snippet = "Apache", "apache/luafcgid2.conf"
    version = ["apache2", "-v"], r"Apache/(\S+)"
    changes = ((r"unix:/run/luafcgid2/luafcgid2\.sock", "unix:{socket}"),)

    def command(self):
        modules = "\n".join(
            "LoadModule %s_module /usr/lib/apache2/modules/mod_%s.so" % (name, name)
            for name in ("mpm_event", "authz_core", "mime", "dir", "proxy", "proxy_fcgi"))
        user = pwd.getpwnam("www-data").pw_name if ROOT else ""
        return [program("apache2"), "-D", "FOREGROUND", "-d", self.directory, "-f",
                self.write("apache.conf", """
            ServerName localhost
            Listen 127.0.0.1:{port}
            PidFile {directory}/apache.pid
            DefaultRuntimeDir {directory}
            Mutex file:{directory} default
            ErrorLog {directory}/error.log
            {modules}
            {user}
            TypesConfig /etc/mime.types
            DocumentRoot {root}
            <Directory {root}>
                Require all granted
            </Directory>
            {snippet}""".format(modules=modules, snippet=self.configuration(),
                                user="User %s\nGroup %s" % (user, user) if user else "",
                                **self.values()))]


class Lighttpd(WebServer):
    name, snippet = "lighttpd", "lighttpd/luafcgid2.conf"
    version = ["lighttpd", "-v"], r"lighttpd/(\S+)"
    changes = ((r'"/run/luafcgid2/luafcgid2\.sock"', '"{socket}"'),)

    def command(self):
        return [program("lighttpd"), "-D", "-f", self.write("lighttpd.conf", """
            server.bind = "127.0.0.1"
            server.port = {port}
            server.document-root = "{root}"
            server.errorlog = "{directory}/error.log"
            server.upload-dirs = ( "{directory}" )
            server.modules = ( )
            {snippet}""".format(snippet=self.configuration(), **self.values()))]


class Caddy(WebServer):
    name, snippet = "Caddy", "caddy/Caddyfile"
    version = ["caddy", "version"], r"v?(\d\S*)"
    changes = ((r"^:80 \{", "http://127.0.0.1:{port} {{"),
               (r"/var/www/html", "{root}"),
               (r"unix//run/luafcgid2/luafcgid2\.sock", "unix/{socket}"))

    def command(self):
        return [program("caddy"), "run", "--adapter", "caddyfile", "--config", self.write(
            "Caddyfile", "{\n\tadmin off\n\tauto_https off\n}\n" + self.configuration())]


class Haproxy(WebServer):
    name, snippet = "HAProxy", "haproxy/haproxy.cfg"
    version = ["haproxy", "-v"], r"version (\d+\.\d+\.\d+)"
    tcp = True
    chunked_limit = 8 * 1024  # must fit its buffer of 16 KiB, with much else
    changes = ((r"bind :80$", "bind 127.0.0.1:{port}"),
               (r"/var/www/html", "{root}"),
               (r"server luafcgid2 127\.0\.0\.1:9000", "server luafcgid2 {socket}"))

    def command(self):
        return [program("haproxy"), "-db", "-f", self.write("haproxy.cfg", """
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
""" + self.configuration())]


class CgiFcgi(WebServer):
    """The client of libfcgi: one request a call, parameters from the environment."""

    name = "cgi-fcgi"
    keeps = False

    def start(self):
        return self

    def stop(self):
        pass

    @classmethod
    def full_version(cls):
        done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", "libfcgi-bin"],
                              stdout=subprocess.PIPE, encoding="utf-8", check=False)
        return "%s %s" % (cls.name, done.stdout.partition("-")[0])

    def request(self, path, method="GET", body=None, connection=None):
        path, _, query = path.partition("?")
        script, _, info = path.partition(".lua")
        script += ".lua"
        params = self.daemon.site.params(script.lstrip("/"), method, query, body,
                                         PATH_INFO=info or None)
        done = subprocess.run(
            [program("cgi-fcgi"), "-bind", "-connect", self.daemon.address],
            input=body or b"",
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=servers.PATIENCE,
            env={name: str(value) for name, value in params.items()}, check=True)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = [tuple(line.decode().split(": ", 1)) for line in head.split(b"\r\n")]
        status = dict(headers).get("Status", "200 OK")
        return Answer(int(status[:3]), headers, content)


ALL = (Nginx, Apache, Lighttpd, Caddy, Haproxy, CgiFcgi)
