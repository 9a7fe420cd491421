"""Visitors who read or send at 20 KB/s, through an nginx that buffers neither, and what a
page beside them is to wait. With the defaults of the configuration, save MaxPostSize."""

import collections
import os
import select
import socket
import threading
import time

import rows as rowlist
import servers
from beside import longest_wait, threads
from servers import Failure

CROWD = 200     # visitors who read, and as many who send
SPEED = 20000   # bytes a second
TICK = 0.5      # seconds
SIZE = 20 << 20  # of the page, and of the body
SECONDS = 20    # that are measured
PATIENCE = 30   # seconds

Slow = collections.namedtuple("Slow", "longest threads")


def nginx_conf(park, server, port):
    lines = [f"user {park.user};"] if os.getuid() == 0 else []
    lines += ["daemon off;", "worker_processes 1;", "error_log stderr error;",
              f"pid {park.path('nginx.pid')};", "events { worker_connections 2048; }",
              "http {", "access_log off;", "client_max_body_size 0;", "send_timeout 120;"]
    for name in ("client_body", "fastcgi", "proxy", "scgi", "uwsgi"):
        directory = park.path("nginx-" + name.replace("client_", ""))
        lines.append(f"{name}_temp_path {directory};")
    return "\n".join(lines + [
        "server {", f"listen 127.0.0.1:{port} sndbuf=64k rcvbuf=64k;", f"root {park.site};",
        "location / {", f"fastcgi_pass {rowlist.address(server)};",
        "include /etc/nginx/fastcgi_params;", "fastcgi_buffering off;",
        "fastcgi_request_buffering off;",
        "fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;", "}", "}", "}", ""])


class Visitor:
    """One who reads the page, or sends a body."""

    def __init__(self, port, sends):
        self.sends, self.moved = sends, 0
        self.socket = socket.socket()
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            self.socket.setsockopt(socket.SOL_SOCKET, option, 32768)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(("127.0.0.1", port))
        head = (f"POST /receive.lua HTTP/1.1\r\nContent-Length: {SIZE}\r\n" if sends else
                "GET /download.lua HTTP/1.1\r\n")
        self.socket.sendall((head + "Host: 127.0.0.1\r\n\r\n").encode())
        self.socket.setblocking(False)

    def go_on(self, count):
        """What there is, or is room for, at most so many bytes."""
        try:
            n = (self.socket.send(bytes(count)) if self.sends else
                 len(self.socket.recv(count)))
        except BlockingIOError:
            return
        if n == 0:
            raise Failure("a page that is read slowly was cut off")
        if self.sends and select.select([self.socket], [], [], 0)[0]:
            raise Failure(f"an answer before the body: {self.socket.recv(300)!r}")
        self.moved += n


class Crowd(threading.Thread):
    def __init__(self, port):
        super().__init__(daemon=True)
        self.visitors = [Visitor(port, i % 2 == 1) for i in range(2 * CROWD)]
        self.over, self.failure = threading.Event(), None

    def run(self):
        step = TICK / len(self.visitors)
        due = time.monotonic()
        try:
            while not self.over.is_set():
                for visitor in self.visitors:  # one after the other, not all at once
                    visitor.go_on(int(SPEED * TICK))
                    due += step
                    time.sleep(max(0, due - time.monotonic()))
        except Exception as e:
            self.failure = e

    def stop(self):
        self.over.set()
        self.join()
        for visitor in self.visitors:
            visitor.socket.close()
        if self.failure:
            raise self.failure
        for visitor in self.visitors:
            if visitor.moved < SPEED * SECONDS / 2:
                raise Failure(f"a visitor moved {visitor.moved} bytes in {SECONDS} s")


def measure(park, say):
    """Milliseconds that a page beside them takes at most, and threads more than at first."""
    say(f"{CROWD} visitors who read and {CROWD} who send at {SPEED // 1000} KB/s, {SECONDS} s")
    try:
        server = park.daemon("slow", "MaxPostSize = 0\nBacklog = 2048\n")
        port = servers.free_port()
        park.nginx(nginx_conf(park, server, port), port)
        longest_wait(server, park.site, 0.2)  # the script gets loaded
        before = threads(server)
        crowd = Crowd(port)
        crowd.start()
        longest, most = longest_wait(server, park.site, SECONDS)
        crowd.stop()
        return Slow(longest * 1e3, most - before)
    finally:
        park.stop_all()
