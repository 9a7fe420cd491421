"""Each directive of AccessLogFormat is Apache's: an Apache in front logs the same lines."""

import os
import re
import time

import pytest

import servers
import webservers

# Of each a line of its own, so that a difference names its directive. {c}: the client's
# address, which Apache's %h is, too, as long as it looks up no names.
DIRECTIVES = ["%h", "%a", "%l", "%u", "%r", "%m", "%U", "%q", "%H", "%v", "%p", "%A", "%s", "%>s",
              "%b", "%B", "%{Referer}i", "%{User-Agent}i", "%{X-None}i", "%{X-Set}o",
              "%{Content-Type}o", "%{Set-Cookie}o", "%%", "a%%b", "\"%r\""]
# What a second or the way through the proxy may change.
TIMES = ["%t", "%D", "%T", "%{s}T", "%{ms}T", "%{us}T", "%P"]
FORMAT = "\t".join(DIRECTIVES + TIMES)

REQUESTS = [
    ("GET", "/page.lua", {}, None),
    ("GET", "/page.lua?a=1&b=%22x%22", {"Referer": "http://example.org/\"q\"", "User-Agent": "t\\t"},
     None),
    ("HEAD", "/page.lua?head", {}, None),
    ("POST", "/page.lua?status=201", {"User-Agent": "\u00e9\u20ac".encode().decode("latin-1")},
     "a=b"),
    ("GET", "/page.lua?status=404", {}, None),
    ("GET", "/page.lua?status=204", {}, None),
    ("GET", "/page.lua/more/of%20it?x", {"User-Agent": ""}, None),
    ("GET", "/with%20space.lua?%C3%A9", {}, None),
]
PAGE = """function main()
    RespStatus(tonumber(Env.QUERY_STRING:match("status=(%d+)")) or 200)
    Header("X-Set", 'a "b" \\\\ c')
    Header("Set-Cookie", "a=1")
    Send("0123456789")
end"""


class LoggingApache(webservers.Apache):
    """With an access log beside the daemon's."""

    def configuration(self):
        line = FORMAT.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t")
        return ("ServerName localhost:%d\nUseCanonicalName On\n"
                'CustomLog "%s/apache-access.log" "%s"\n%s' % (
                    self.port, self.directory, line, super().configuration()))


@pytest.fixture
def both(scratch, site):
    directory = scratch()
    daemon = servers.Daemon(directory, site, ListenMode="0666", AccessLogFormat=FORMAT,
                            AccessLogPath=directory + "/access.log")
    for name in "page.lua", "with space.lua":
        site.write(name, PAGE)
        os.chmod(site.path(name), 0o644)
    directory = scratch()
    os.chmod(directory, 0o777)
    with webservers.in_front(LoggingApache, directory, daemon) as web:
        yield web


def lines_of(path, count):
    servers.wait_until(lambda: servers.read(path).count("\n") >= count, "%d lines" % count)
    return [line.split("\t") for line in servers.read(path).split("\n")[:count]]


def test_apache_logs_the_same(both):
    for number, (method, path, headers, body) in enumerate(REQUESTS):
        connection = both.connect()
        connection.request(method, path, body, headers)
        connection.getresponse().read()
        connection.close()
        lines_of(both.daemon.directory + "/access.log", number + 1)  # they keep their order
    theirs = lines_of(both.directory + "/apache-access.log", len(REQUESTS))
    ours = lines_of(both.daemon.directory + "/access.log", len(REQUESTS))
    for (method, path, headers, _), one, other in zip(REQUESTS, ours, theirs):
        assert len(one) == len(other) == len(DIRECTIVES) + len(TIMES)
        wrong = [(directive, a, b) for directive, a, b in zip(DIRECTIVES, one, other) if a != b]
        if "Agent" in str(headers):  # an empty header is a dash here, as an absent one is
            wrong = [w for w in wrong if w != ("%{User-Agent}i", "-", "")]
        if "204" in path:  # without a body Apache drops the type of it
            wrong = [w for w in wrong if w != ("%{Content-Type}o", "text/html", "-")]
        assert not wrong, (method, path, wrong)
        stamp = [time.mktime(time.strptime(line[len(DIRECTIVES)], "[%d/%b/%Y:%H:%M:%S %z]"))
                 for line in (one, other)]
        assert abs(stamp[0] - stamp[1]) <= 5
        assert one[len(DIRECTIVES)][-7:] == other[len(DIRECTIVES)][-7:]  # the zone
        micro, whole, seconds, milli, same = map(int, one[len(DIRECTIVES) + 1:-1])
        assert same == micro and milli == micro // 1000 and whole == seconds == micro // 1000000
        assert re.fullmatch(r"\d+", one[-1]) and int(one[-1]) == both.daemon.pid
