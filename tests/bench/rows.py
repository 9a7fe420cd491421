"""The rows of the tables, and nginx's configuration to reach them."""

import os

import servers

CONNECTIONS = 10  # of wrk
KEPT = 16         # connections that nginx keeps to one upstream
WORKERS = 4       # requests that each server works on at once

WORKLOADS = {
    "hello": "11 bytes",
    "env": "every parameter of the request",
    "compute": "base64 of 3000 bytes in the script's language",
    "body": "1 MiB response",
    "post": "100 KiB request, answered with its length",
}


PAGES = {  # what luafcgid2 and php-fpm are asked for
    "form": "POST of a form with 20 fields, which are added up",
    "upload": "5 MB upload, answered with its size",
    "template": "a page with a table of 50 rows, from a template",
    "shared": "Shared.incr, and APCu's apcu_inc",
}
OWN = {  # what only luafcgid2 is asked for
    "hello_env": "hello, by a script that takes Env, which is then made",
    "session": "GetVar and SetVar, against hello",
}
PHPS = (*WORKLOADS, *PAGES)
OURS = (*WORKLOADS, *PAGES, *OWN, "session_count")


class Row:
    """One server as one table row. `start` returns its server for a workload."""

    def __init__(self, name, label, suffix, proxy, kept, start, serves=tuple(WORKLOADS)):
        self.name, self.label, self.suffix = name, label, suffix
        self.proxy, self.kept, self.start, self.serves = proxy, kept, start, serves
        self.port = None
        self.by_workload = {}

    def uri(self, workload):
        return f"/{workload}.{self.suffix}"


def responder(program, row, threads, *mode):
    return lambda park, workload: park.responder(program, workload, row, threads, *mode)


def shared(start):
    """One server for every workload of a row."""
    made = {}

    def get(park, _):
        if "server" not in made:
            made["server"] = start(park)
        return made["server"]
    return get


def all_rows():
    def daemon(name):
        return shared(lambda park: park.daemon(name))

    def php(name):
        return shared(lambda park: park.php(name))

    def apache(name, scope):
        return shared(lambda park: park.apache(name, scope, KEPT))

    return [
        Row("floor", "record loop (floor)", "lua", "fastcgi", False,
            responder("floor", "floor", WORKERS, "parked")),
        Row("floor-ka", "record loop (floor), keepalive", "lua", "fastcgi", True,
            responder("floor", "floor-ka", WORKERS, "parked")),
        Row("batch-ka", "floor, keepalive, SCHED_BATCH", "lua", "fastcgi", True,
            responder("floor", "batch-ka", WORKERS, "parked", "batch")),
        Row("blocking-ka", "floor, keepalive, thread each", "lua", "fastcgi", True,
            responder("floor", "blocking-ka", KEPT)),
        Row("libfcgi", "libfcgi responder", "lua", "fastcgi", False,
            responder("libfcgi", "libfcgi", WORKERS)),
        Row("luafcgid2", "luafcgid2", "lua", "fastcgi", False, daemon("luafcgid2"),
            OURS),
        Row("luafcgid2-ka", "luafcgid2, keepalive", "lua", "fastcgi", True,
            daemon("luafcgid2-ka"), OURS),
        Row("php", "php-fpm", "php", "fastcgi", False, php("php"), PHPS),
        Row("php-ka", "php-fpm, keepalive", "php", "fastcgi", True, php("php-ka"),
            PHPS),
        Row("modlua-thread", "Apache mod_lua, scope thread", "lua", "http", True,
            apache("modlua-thread", "thread")),
        Row("modlua", "Apache mod_lua, default scope", "lua", "http", True,
            apache("modlua", None)),
    ]


def notes():
    return [
        f"Each server works on {WORKERS} requests at once, behind one nginx with 1 worker;"
        f" wrk holds {CONNECTIONS} connections.",
        "The floor parks connections in an epoll set, as luafcgid2 does. A thread for each"
        " connection instead costs more, kept or not; that row shows how much.",
        "luafcgid2's workers are scheduled as SCHED_BATCH, all else as usual: the row of a floor"
        " under SCHED_BATCH shows what comes of that alone.",
        f"keepalive: nginx keeps up to {KEPT} connections to the server. With a thread per"
        f" connection there are {KEPT} threads. php-fpm's {WORKERS} children each hold one, and"
        " what else nginx opens waits for one of them: see p99.",
        f"Apache: event MPM with {KEPT} threads, for with {WORKERS} it closes kept connections"
        " and nginx answers 502; proxied over HTTP on TCP, for it cannot listen on a unix"
        " socket. All others: FastCGI on unix sockets.",
        "CPU: user and system time of all processes and threads of the server (not nginx),"
        " divided by the requests that wrk saw completed.",
        "memory: resident after the run; what processes of one server share counts once.",
    ]


def address(server):
    return f"unix:{server.address}" if isinstance(server.address, str) else (
        f"{server.address[0]}:{server.address[1]}")


def location(row, workload, target):
    if row.proxy == "http":
        # What one passes on to an application server.
        inside = [f"proxy_pass http://{target};", "proxy_http_version 1.1;",
                  'proxy_set_header Connection "";', "proxy_set_header Host $host;",
                  "proxy_set_header X-Real-IP $remote_addr;",
                  "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
                  "proxy_set_header X-Forwarded-Proto $scheme;"]
    else:
        inside = [f"fastcgi_pass {target};", "include /etc/nginx/fastcgi_params;",
                  "fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;"]
        inside += ["fastcgi_keep_conn on;"] if row.kept else []
    return [f"location = {row.uri(workload)} {{", *inside, "}"]


def nginx_conf(park, rows):
    """One server for each row. Everything that is not about where things are, or about
    being measured, is nginx's default."""
    lines = [f"user {park.user};"] if os.getuid() == 0 else []
    lines += ["daemon off;", "worker_processes 1;", "error_log stderr error;",
              f"pid {park.path('nginx.pid')};", "events { worker_connections 4096; }",
              "http {", "access_log off;", "client_max_body_size 16m;",
              "keepalive_requests 100000000;"]
    for name in ("client_body", "fastcgi", "proxy", "scgi", "uwsgi"):
        directory = park.path("nginx-" + name.replace("client_", ""))
        lines.append(f"{name}_temp_path {directory};")
    upstreams, hosts = {}, []  # upstreams by address: the kept connections are one pool
    for row in rows:
        hosts += ["server {", f"listen 127.0.0.1:{row.port};", "server_name localhost;",
                  f"root {park.site};"]
        for workload, server in row.by_workload.items():
            target = address(server)
            if row.kept:
                upstreams[target] = [f"upstream {server.name} {{", f"server {target};",
                                     f"keepalive {KEPT};", "}"]
                target = server.name
            hosts += location(row, workload, target)
        hosts.append("}")
    return "\n".join(lines + sum(upstreams.values(), []) + hosts + ["}", ""])


def start(park, rows, workloads):
    """Starts the servers that the rows have for these workloads, and nginx before them."""
    for row in rows:
        row.port = servers.free_port()
        for workload in row.serves:
            if workload in workloads:
                row.by_workload[workload] = row.start(park, workload)
    park.nginx(nginx_conf(park, rows), rows[0].port)
