"""luafcgid2-tutorial(7), followed from its first line to the public server, which is for
tests/service: what it displays is saved or typed as it stands there, and what it promises
is looked for."""

import contextlib
import http.client
import http.cookiejar
import os
import re
import shutil
import signal
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request

import pytest

import servers
import tutorial

CLIENTS, ENTRIES = 16, 50
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20
HERE = [step for step in tutorial.steps() if step.section != tutorial.PUBLIC]


class Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


class Browser:
    """Follows no redirect, so that a test sees them, and keeps cookies."""

    def __init__(self, site):
        self.site, self.jar = site, http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), Stay,
            urllib.request.HTTPCookieProcessor(self.jar))

    def ask(self, path, data=None, **headers):
        """(status, text, headers)"""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.site + path, data, names)
        try:
            answer = self.opener.open(request, timeout=servers.PATIENCE)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            return answer.status, answer.read().decode("utf-8", "replace"), answer.headers

    def get(self, path):
        return self.ask(path)

    def post(self, path, **fields):
        return self.ask(path, urllib.parse.urlencode(fields).encode())

    def token(self, path):
        return re.search(r'name="csrf" value="([^"]+)"', self.get(path)[1]).group(1)

    def send_picture(self, content, csrf):
        body = b"".join(b'--x\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n' % part
                        for part in ((b"csrf", b"", csrf.encode()),
                                     (b"picture", b'; filename="../a.png"', content)))
        return self.ask("/upload.lua", body + b"--x--\r\n",
                        Content_Type="multipart/form-data; boundary=x")


class Reader:
    """Whoever follows the page, in a home of his own; what needs root he leaves out."""

    def __init__(self, home):
        self.home, self.cwd, self.server = home, home, None
        os.chmod(home, 0o700)  # root's server would else be another user's, without a home
        self.port = servers.free_port()
        self.url = "http://127.0.0.1:%d" % self.port
        self.log = os.path.join(home, "log")
        programs = os.path.join(home, "bin")
        os.makedirs(os.path.join(home, "luafcgid2"))
        os.mkdir(programs)
        os.symlink(servers.BINARY, os.path.join(programs, "luafcgid2"))
        with open(os.path.join(programs, "luafcgid2-serve"), "w", encoding="ascii") as f:
            f.write('#!/bin/sh\nexec sh "%s/scripts/serve.sh" "$@"\n' % servers.ROOT)
        os.chmod(f.name, 0o755)
        self.env = dict(os.environ, HOME=home, TMPDIR=home, no_proxy="*",
                        LUAFCGID2=servers.BINARY, PATH=programs + ":" + os.environ["PATH"])
        self.env.pop("XDG_DATA_HOME", None)

    def follow(self, step):
        if isinstance(step, tutorial.File):
            servers.Site(self.cwd).write(step.name, step.text)
            return
        text = step.text.replace("127.0.0.1:8080", "127.0.0.1:%d" % self.port)
        if text.startswith("sudo ") or text == "make":
            return
        if text == "luafcgid2-serve":
            self.serve()
            return
        printed = self.run(text)
        if step.output:
            step.check(printed)

    def run(self, text):
        """What it prints. A cd is for the commands that follow, too."""
        place = os.path.join(self.home, "place")
        done = subprocess.run(["bash", "-ec", text + '\npwd >"$PLACE"'], cwd=self.cwd,
                              env=dict(self.env, PLACE=place), stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=servers.PATIENCE,
                              check=False)
        assert done.returncode == 0, "%s: %s%s" % (text, done.stdout, done.stderr)
        self.cwd = servers.read(place).strip()
        return done.stdout

    def serve(self):
        with open(self.log, "wb") as log:
            self.server = subprocess.Popen(
                ["luafcgid2-serve", ".", str(self.port)], cwd=self.cwd, env=self.env,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

        def ready():
            assert self.server.poll() is None, servers.read(self.log)
            return "Ctrl-C stops it" in servers.read(self.log)
        servers.wait_until(ready, "the site to be served")

    def stop(self):
        if self.server is not None and self.server.poll() is None:
            os.killpg(self.server.pid, signal.SIGINT)
            self.server.wait(servers.PATIENCE)


# -- What the page promises, section by section --

def preparation(reader, site):
    assert "Hello" not in site.get("/")[1]  # nothing is there yet


def first_page(reader, site):
    page = os.path.join(reader.cwd, "index.lua")
    good = servers.read(page)
    with open(page, "w", encoding="ascii") as f:
        f.write(good.replace('</h1>\\n")', '</h1>\\n"'))
    servers.wait_until(lambda: "index.lua:3:" in site.get("/")[1], "the error on the page")
    assert site.get("/")[0] == 500 and "index.lua:3:" in servers.read(reader.log)
    with open(page, "w", encoding="ascii") as f:
        f.write(good)
    servers.wait_until(lambda: "<h1>Hello</h1>" in site.get("/")[1], "the page to be right again")


def template(reader, site):
    servers.wait_until(lambda: "visitor number" in site.get("/")[1], "the template")
    first, second = (int(re.search(r"number (\d+)", site.get("/")[1]).group(1)) for _ in range(2))
    assert second == first + 1
    assert site.get("/style.css")[2]["Content-Type"].startswith("text/css")


def guestbook(reader, site):
    status, _, headers = site.post("/guestbook.lua", name="<b>", text="\u00fc & \u20ac")
    assert (status, headers["Location"]) == (303, "/guestbook.lua")
    assert "<h2>&lt;b&gt;</h2>\n<p>\u00fc &amp; \u20ac</p>" in site.get("/guestbook.lua")[1]
    for fields in ({"name": " ", "text": "x"}, {"name": "x"}, {}, {"name": "x", "text": "x" * 2001}):
        status, text, _ = site.post("/guestbook.lua", **fields)
        assert status == 400 and "Please write a name" in text
    book = os.path.join(reader.home, ".local/share/luafcgid2/guestbook")
    assert servers.read(book).count("\n") == 2


def login(reader, site):
    form = {"name": "ada", "password": "a long secret", "action": "login"}
    assert site.post("/login.lua", **form)[0] == 403  # without the token
    for name, password in ("ada", "another"), ("bob", "a long secret"), ("", ""):
        status, text, _ = site.post("/login.lua", name=name, password=password,
                                    csrf=site.token("/login.lua"))
        assert status == 403 and "Name or password is wrong." in text
    before = {cookie.value for cookie in site.jar}
    assert site.post("/login.lua", csrf=site.token("/login.lua"), **form)[0] == 303
    assert {cookie.value for cookie in site.jar} != before
    assert "You are ada." in site.get("/login.lua")[1]
    assert site.post("/login.lua", csrf=site.token("/login.lua"), action="logout")[0] == 303
    assert "You are" not in site.get("/login.lua")[1]
    assert site.post("/login.lua", csrf=site.token("/login.lua"), **form)[0] == 303


def upload(reader, site):
    assert Browser(site.site).get("/upload.lua")[2]["Location"] == "/login.lua"
    assert site.get("/picture.lua")[0] == 404
    assert site.send_picture(PNG, "forged")[0] == 400
    token = site.token("/upload.lua")
    status, text, _ = site.send_picture(b"<script>", token)
    assert status == 400 and "neither PNG nor JPEG" in text
    for content in PNG, PNG * 300:  # the second is larger than the limit of other bodies
        assert site.send_picture(content, token)[0] == 303
        status, _, headers = Browser(site.site).get("/picture.lua")
        assert (status, headers["Content-Type"], headers["Content-Length"]) == \
            (200, "image/png", str(len(content)))
    etag = headers["ETag"]
    assert site.ask("/picture.lua", If_None_Match=etag)[0] == 304


def endpoint(reader, site):
    for body, kind, status in ((b"{", "application/json", 400), (b"[]", "application/json", 422),
                               (b'{"name": 1}', "application/json", 422),
                               (b'{"name": "x", "text": "x"}', "text/plain", 415)):
        assert site.ask("/api.lua", body, Content_Type=kind)[0] == status, body


def chart(reader, site):
    connection = http.client.HTTPConnection("127.0.0.1", reader.port, timeout=servers.PATIENCE)
    with contextlib.closing(connection):
        connection.request("GET", "/chart.lua?events")
        response = connection.getresponse()
        assert response.getheader("Content-Type").startswith("text/event-stream")
        seen = 0
        for _ in range(3):
            site.get("/")
        while seen < 3:
            line = response.readline()
            assert line, "the stream has ended"
            if line.startswith(b"data: "):
                seen += int(line[6:])


PROMISES = {
    "PREPARATION": preparation, "THE FIRST PAGE": first_page, "A TEMPLATE": template,
    "A GUESTBOOK": guestbook, "A LOGIN": login, "AN UPLOAD": upload,
    "A JSON ENDPOINT": endpoint, "A LIVE CHART": chart,
}


def test_the_tutorial_does_what_it_promises(scratch):
    reader = Reader(scratch())
    site = Browser(reader.url)
    sections = list(dict.fromkeys(step.section for step in HERE))
    assert sections == list(PROMISES)
    try:
        for section in sections:
            for step in HERE:
                if step.section == section:
                    reader.follow(step)
            PROMISES[section](reader, site)
    finally:
        reader.stop()
    assert reader.server.returncode == 0


@pytest.mark.parametrize("render", [["mandoc", "-Tutf8"], ["groff", "-mandoc", "-Tutf8"]],
                         ids=lambda command: command[0])
def test_what_is_copied_from_the_terminal_is_right(render):
    """No quote, dash or backslash is another character on the screen."""
    if not shutil.which(render[0]):
        pytest.skip(render[0] + " is not installed")
    done = subprocess.run(render + [tutorial.PAGE], check=True, timeout=60, capture_output=True)
    shown = re.sub(r".\x08|\x1b\[[0-9;]*m", "", done.stdout.decode())
    shown = {line.strip() for line in shown.splitlines()}
    for step in tutorial.steps():
        text = step.text if isinstance(step, tutorial.File) else "$ " + step.text
        for line in text.splitlines():
            assert line.strip() in shown, line


# -- The guestbooks, with many clients --

def save(site):
    """The site as it is at the end."""
    for step in HERE:
        if isinstance(step, tutorial.File):
            site.write(step.name, step.text)


def write_all(post):
    """Each client writes its entries. What of it was refused."""
    refused = []

    def client(number):
        for entry in range(ENTRIES):
            response = post(number, "client %d" % number, "entry %d " % entry + "<%d>" % number * 300)
            if response.status != 303:
                refused.append(response)
    threads = [threading.Thread(target=client, args=(n,)) for n in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return refused


def check_book(path):
    """All entries are there, whole, and those of a client in their order."""
    with open(path, encoding="ascii") as f:
        entries = [dict(urllib.parse.parse_qsl(line, strict_parsing=True)) for line in f]
    for number in range(CLIENTS):
        assert [entry["text"] for entry in entries if entry["name"] == "client %d" % number] == \
            ["entry %d " % n + "<%d>" % number * 300 for n in range(ENTRIES)]
    assert len(entries) == CLIENTS * ENTRIES


@pytest.fixture
def busy(daemon, scratch):
    """A daemon on which every client gets a state of its own; and where its data is."""
    data = scratch()
    return daemon(WorkerThreads=CLIENTS, LuaMaxStates=CLIENTS, DataDir=data), data


def test_the_guestbook_survives_16_clients(busy):
    d, data = busy
    save(d.site)

    def post(_, name, text):
        return d.post("guestbook.lua", urllib.parse.urlencode({"name": name, "text": text}))
    assert not write_all(post)
    check_book(data + "/guestbook")
    assert 20 < d.get("guestbook.lua").text.count("<article>") <= 50


def test_the_guestbook_of_the_sample_site_survives_16_clients(busy):
    d, data = busy
    examples = servers.Site(os.path.join(servers.ROOT, "scripts/examples"))
    guests = []
    for _ in range(CLIENTS):
        form = d.request("guestbook.lua", site=examples)
        guests.append((form.header("Set-Cookie").partition(";")[0],
                       re.search(r'name="csrf" value="([^"]+)"', form.text).group(1)))

    def post(number, name, text):
        cookie, token = guests[number]
        fields = {"name": name, "text": text, "csrf": token}
        return d.request("guestbook.lua", "POST", urllib.parse.urlencode(fields), site=examples,
                         HTTP_COOKIE=cookie)
    assert not write_all(post)
    check_book(data + "/examples-guestbook")
