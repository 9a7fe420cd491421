"""Many requests that wait: visitors of a page that stays up to date, and requests that
sleep. Through nginx, with the defaults of the configuration, save Backlog."""

import collections
import select
import socket
import statistics
import time

import fcgi
import rows as rowlist
from servers import Failure

CROWD = 1000        # requests that wait at once
PHP_CROWD = 16      # of php-fpm, which serves them four at a time
ROUNDS = 5
PATIENCE = 60       # seconds
HERE = ("hello", "events", "publish", "sleep")

Streams = collections.namedtuple("Streams", "rate memory last cpu slept php")


class Crowd:
    """HTTP clients, each with a connection of its own that is made already."""

    def __init__(self, port, count):
        self.poll = select.epoll()
        self.clients = {}  # socket by its descriptor
        for _ in range(count):
            client = socket.create_connection(("127.0.0.1", port), PATIENCE)
            client.setblocking(False)
            self.clients[client.fileno()] = client
            self.poll.register(client, select.EPOLLIN)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.poll.close()
        for client in self.clients.values():
            client.close()

    def ask(self, uri):
        message = f"GET {uri} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
        for client in self.clients.values():
            if client.send(message) != len(message):
                raise Failure("a request did not fit its socket")

    def wait(self, marker):
        """Until all of them have it. Seconds."""
        begun = time.monotonic()
        texts, waiting = collections.defaultdict(bytes), set(self.clients)
        while waiting:
            if time.monotonic() - begun > PATIENCE:
                raise Failure(f"{len(waiting)} clients wait for {marker!r} in vain")
            for fd, _ in self.poll.poll(1):
                text = self.clients[fd].recv(65536)
                texts[fd] += text
                if not text or b" 50" in texts[fd][:16]:
                    raise Failure(f"instead of {marker!r} came {texts[fd][:300]!r}")
                if marker in texts[fd]:
                    waiting.discard(fd)
        return time.monotonic() - begun


def publish(server, site, crowd):
    """Seconds until the last client has the news, and CPU seconds of the daemon's."""
    message = fcgi.request(fcgi.parameters(site, "/publish.lua"), False)
    used, begun = server.cpu(), time.monotonic()
    with fcgi.Connection(server.address).send(message) as asked:
        crowd.wait(b"news")
        last = time.monotonic() - begun
        answer = fcgi.response(asked)
    if not answer.endswith(b"\r\n%d" % CROWD):
        raise Failure(f"the news went to others: {answer[-100:]!r}")
    return last, server.cpu() - used


def sleep_at_once(port, uri, count):
    """Seconds until so many requests, all at once, are answered."""
    with Crowd(port, count) as crowd:
        begun = time.monotonic()
        crowd.ask(uri)
        crowd.wait(b"slept")
        return time.monotonic() - begun


def measure_crowd(park, row, wrk, say):
    """hello's rate beside the streams, to that alone; KiB of memory, milliseconds,
    microseconds of CPU."""
    server = row.by_workload["hello"]

    def rate():
        return statistics.median(
            requests / seconds for requests, seconds, _ in
            (wrk(row.port, "/hello.lua", 2) for _ in range(ROUNDS)))
    wrk(row.port, "/hello.lua", 1)
    publish_nobody = fcgi.request(fcgi.parameters(park.site, "/publish.lua"), False)
    fcgi.ask(server.address, publish_nobody)
    say("hello alone")
    alone, memory = rate(), server.memory()
    say(f"{CROWD} streams of events")
    with Crowd(row.port, CROWD) as crowd:
        crowd.ask("/events.lua")
        crowd.wait(b"data: begin")
        memory = server.memory() - memory
        say("hello beside them")
        beside = rate()
        news = [publish(server, park.site, crowd) for _ in range(ROUNDS)]
    last, cpu = (statistics.median(figures) for figures in zip(*news))
    return beside / alone, memory / CROWD / 1024, last * 1e3, cpu / CROWD * 1e6


def measure(park, wrk, say):
    """`wrk` is a function of port, address and seconds."""
    def row(name, suffix, serves, kept, start):
        return rowlist.Row(name, name, suffix, "fastcgi", kept, rowlist.shared(start), serves)
    ours = row("streams", "lua", HERE, True, lambda park: park.daemon(
        "streams", "Backlog = 2048\n"))  # they come all at once
    # A connection that is kept would keep one of php-fpm's children.
    php = row("streams-php", "php", ("sleep",), False, lambda park: park.php("streams-php"))
    try:
        rowlist.start(park, [ours, php], HERE)
        figures = measure_crowd(park, ours, wrk, say)
        say(f"{CROWD} requests that sleep for a second")
        slept = statistics.median(sleep_at_once(ours.port, "/sleep.lua", CROWD)
                                  for _ in range(3))
        say(f"{PHP_CROWD} of php-fpm's")
        return Streams(*figures, slept, sleep_at_once(php.port, "/sleep.php", PHP_CROWD))
    finally:
        park.stop_all()
