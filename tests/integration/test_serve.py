"""luafcgid2-serve: a directory, served while somebody writes it."""

import http.client
import os
import signal
import subprocess

import pytest

import servers

SERVE = os.path.join(servers.ROOT, "scripts", "serve.sh")


class Served:
    def __init__(self, directory, *options, place, data):
        self.port = servers.free_port()
        self.log = os.path.join(place, "log")
        self.place = os.path.join(place, "tmp")
        os.mkdir(self.place)
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                ["sh", SERVE, *options, directory, str(self.port)], stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, start_new_session=True,
                env=dict(os.environ, TMPDIR=self.place, LUAFCGID2=servers.BINARY, XDG_DATA_HOME=data))

    def said(self):
        return servers.read(self.log)

    def ready(self):
        """The daemon has its socket a moment before it listens there (bind(2), listen(2)), so
        on a busy machine the first visitor may come too early."""
        assert self.process.poll() is None, self.said()
        return "Ctrl-C stops it" in self.said() and self.get("/").status != 502

    def get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=servers.PATIENCE)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            response.text = response.read().decode()
            return response
        finally:
            connection.close()

    def stop(self, number=signal.SIGINT):
        """As Ctrl-C does: the whole group gets it."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, number)
        return self.process.wait(servers.PATIENCE)


@pytest.fixture
def serve(scratch):
    started = []

    def make(directory, *options, data=None):
        started.append(Served(directory, *options, place=scratch(), data=data or scratch()))
        servers.wait_until(started[-1].ready, "the site to be served")
        return started[-1]
    yield make
    for one in started:
        one.stop()


@pytest.fixture
def place(scratch):
    directory = scratch()
    os.chmod(directory, 0o755)
    for name, text in (("index.lua", "function main() Send('page ', Env.PATH_INFO) end"),
                       ("style.css", "a {}"), (".secret", "x"), ("data.db", "x"), ("A.DB", "x"),
                       ("bad.lua", "function main() error('on <purpose>') end")):
        with open(os.path.join(directory, name), "w", encoding="ascii") as f:
            f.write(text)
    return directory


def test_scripts_and_files_are_served_and_private_files_are_not(serve, place):
    s = serve(place)
    assert s.get("/").text == "page " and s.get("/index.lua/a/b").text == "page /a/b"
    css = s.get("/style.css")
    assert css.text == "a {}" and css.getheader("Content-Type").startswith("text/css")
    assert [s.get(path).status for path in ("/.secret", "/data.db", "/A.DB", "/none.lua",
                                            "/none.html")] == [404] * 5


def test_a_directory_without_an_index_is_listed(serve, place):
    os.mkdir(place + "/more pages")
    os.chmod(place + "/more pages", 0o755)
    with open(place + "/more pages/a b.lua", "w", encoding="ascii") as f:
        f.write("function main() Send(Dir()) end")
    s = serve(place)
    assert 'href="a%20b.lua"' in s.get("/more%20pages/").text
    assert s.get("/more%20pages/a%20b.lua").text == place + "/more pages"


def test_a_port_that_is_taken_is_said(serve, place):
    s = serve(place)
    done = subprocess.run(["sh", SERVE, place, str(s.port)], capture_output=True, text=True, check=False,
                          timeout=servers.PATIENCE, env=dict(os.environ, TMPDIR=s.place, LUAFCGID2=servers.BINARY))
    assert done.returncode == 1 and "name another" in done.stderr
    assert len(os.listdir(s.place)) == 1  # the first one's
    assert s.get("/").text == "page "


def test_edits_and_errors_show_at_once(serve, place):
    s = serve(place)
    assert "on &lt;purpose&gt;" in s.get("/bad.lua").text
    servers.wait_until(lambda: "on <purpose>" in s.said(), "the error in the terminal")
    assert s.get("/").text == "page "
    with open(place + "/index.lua", "w", encoding="ascii") as f:
        f.write("function main() Send('another') end")
    servers.wait_until(lambda: s.get("/").text == "another", "the edit to show")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_well_and_leaves_nothing_behind(serve, place, number):
    s = serve(place)
    assert s.get("/").status == 200
    assert s.stop(number) == 0
    assert not os.listdir(s.place)
    with pytest.raises(OSError):
        s.get("/")


def test_more_configuration(serve, place, scratch):
    path = scratch() + "/more.lua"
    with open(path, "w", encoding="ascii") as f:
        f.write("Config = {Word = 'configured'}\nShowErrors = false\n")
    with open(place + "/index.lua", "w", encoding="ascii") as f:
        f.write("function main() Send(Config.Word) end")
    assert serve(place, "-c", path).get("/").text == "configured"


KEEP = '''function main()
    local path = Info.DataDir .. "/kept"
    local file = io.open(path)
    if file then Send(file:read("a")) file:close() return end
    file = assert(io.open(path, "w"))
    file:write("there") file:close() Send("new") end'''


def test_data_of_scripts_stays(serve, place, scratch):
    with open(place + "/keep.lua", "w", encoding="ascii") as f:
        f.write(KEEP)
    data = scratch()
    os.chmod(data, 0o777)  # root serves as another user
    for said in "new", "there":
        s = serve(place, data=data)
        assert s.get("/keep.lua").text == said
        s.stop()
    assert os.listdir(data + "/luafcgid2") == ["kept"]


def test_the_configuration_says_where_data_is(serve, place, scratch):
    with open(place + "/keep.lua", "w", encoding="ascii") as f:
        f.write(KEEP)
    data = scratch()
    os.chmod(data, 0o777)
    with open(data + "/config.lua", "w", encoding="ascii") as f:
        f.write('DataDir = "%s"\n' % data)
    assert serve(place, "-c", data + "/config.lua").get("/keep.lua").text == "new"
    assert servers.read(data + "/kept") == "there"


@pytest.mark.parametrize("words, said", [
    (["/no/such/directory"], "is no directory"), ([".", "0"], "is not a port"), ([".", "x"], "is not a port"),
    (["-c", "/no/such/file"], "cannot be read"), (["a", "1", "b"], "usage: ")])
def test_wrong_words_are_refused(words, said):
    done = subprocess.run(["sh", SERVE, *words], capture_output=True, text=True, check=False,
                          timeout=servers.PATIENCE)
    assert done.returncode in (1, 2) and said in done.stderr
