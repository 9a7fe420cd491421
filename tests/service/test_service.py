"""luafcgid2 as a systemd service behind nginx, in a machine booted from the tree.

The tests go in the order of an administrator's life with it: install, set up, reload,
crash, upgrade, uninstall. Each begins with the service running and the configuration of
`service` below, and leaves it so.
"""

import os
import re
import threading

import pytest

import fastcgi
from machine import make, wait_until

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CONFIG = "/etc/luafcgid2/config.lua"
DROP_INS = "/etc/systemd/system/luafcgid2.service.d"
NGINX = "/etc/nginx/sites-enabled/luafcgid2"
SNIPPET = "/usr/share/doc/luafcgid2/nginx/luafcgid2.conf"
DEFAULT_SOCKET = "/var/tmp/luafcgid2.sock"
SOCKET = "/run/luafcgid2/luafcgid2.sock"
LOG = "/var/log/luafcgid2/luafcgid2.log"


def serves(machine):
    return machine.get("/hello.lua") == (200, "hello")


def wait_for_web_server(machine):
    wait_until(lambda: machine.run("ss -tlnH | grep -q ':80 '", check=False).status == 0,
               "nginx to listen")


def wait_for_service(machine, timeout=60):
    wait_until(lambda: machine.property("ActiveState") == "active" and machine.pid() > 0,
               "the service to run", timeout)


def log(machine):
    return machine.read(LOG) if machine.exists(LOG) else ""


def in_log(machine, pattern, since=0):
    return wait_until(lambda: re.search(pattern, log(machine)[since:]),
                      "%r in the log" % pattern)


def connect(machine, path=SOCKET, timeout=45):
    """A FastCGI connection from outside: through the machine's own view of its files."""
    directory = os.open(machine.path(os.path.dirname(path)), os.O_PATH)
    try:
        return fastcgi.Connection(
            "/proc/self/fd/%d/%s" % (directory, os.path.basename(path)), timeout)
    finally:
        os.close(directory)


def begin(connection, script, **more):
    connection.begin({"SCRIPT_FILENAME": "/var/www/html" + script, "SCRIPT_NAME": script,
                      "REQUEST_METHOD": "GET", "SERVER_NAME": "localhost", **more})
    return connection.end()


@pytest.fixture(scope="module")
def site(machine):
    """nginx as the snippet says, and the service as it is after a first installation."""
    machine.write(NGINX, machine.read(SNIPPET))
    machine.run("systemctl restart nginx")
    machine.run("systemctl enable --now luafcgid2")
    wait_for_web_server(machine)
    return machine


@pytest.fixture(scope="module")
def configured(site):
    """The socket in /run, as recommended; Listen and upstream changed to it."""
    machine = site
    machine.original = machine.read(CONFIG)
    machine.config = machine.original + '\nListen = "%s"\n' % SOCKET
    machine.write(CONFIG, machine.config)
    machine.write(NGINX, machine.read(SNIPPET).replace(DEFAULT_SOCKET, SOCKET))
    machine.run("systemctl restart luafcgid2 nginx")
    wait_for_web_server(machine)
    return machine


def forget_starts(machine):
    """So many starts in a minute are the tests', not a fault for systemd to put an end to.

    Without --all a pattern leaves out what is stopped, such as the socket."""
    machine.run("systemctl --all reset-failed 'luafcgid2.*'")


@pytest.fixture
def service(configured):
    machine = configured
    forget_starts(machine)
    machine.run("systemctl start luafcgid2")
    machine.restarts = int(machine.property("NRestarts"))
    yield machine
    if machine.exists(DROP_INS) or machine.read(CONFIG) != machine.config:
        machine.write(CONFIG, machine.config)
        machine.run("rm -rf %s; systemctl daemon-reload" % DROP_INS)
        forget_starts(machine)
        machine.run("systemctl restart luafcgid2")


def drop_in(machine, text):
    machine.write(DROP_INS + "/test.conf", text)
    machine.run("systemctl daemon-reload && systemctl restart luafcgid2")


# Seconds: the daemon tells of itself at half of it, and may be late by as much.
WATCHDOG = 6


# -- Installing --

def test_a_fresh_installation_serves_on_the_default_socket(site):
    assert site.run("systemctl is-enabled luafcgid2").out == "enabled\n"
    assert site.run("systemctl is-active luafcgid2").out == "active\n"
    assert site.run("stat -c '%U %G %a' " + DEFAULT_SOCKET).out == "www-data www-data 660\n"
    assert serves(site)


def test_the_readmes_shorter_form_for_nginx(site):
    with open(os.path.join(TOP, "README"), encoding="utf-8") as f:
        location = re.search(r"form\nknown from the predecessors,\n\n((?: {4}.*\n)+)",
                             f.read()).group(1)
    site.write(NGINX, "server {\n    listen 80;\n    root /var/www/html;\n%s}\n" % location)
    site.run("systemctl restart nginx")
    try:
        wait_for_web_server(site)
        assert serves(site)
    finally:
        site.write(NGINX, site.read(SNIPPET))
        site.run("systemctl restart nginx")


def test_the_recommended_socket_serves(service):
    assert service.run("stat -c '%U %G %a' " + SOCKET).out == "www-data www-data 660\n"
    assert serves(service)


def test_the_directories_are_the_users(service):
    for name, mode in (("/run/luafcgid2", "755"), ("/var/log/luafcgid2", "750"),
                       ("/var/lib/luafcgid2", "700")):
        assert service.run("stat -c '%U %a' " + name).out == "www-data %s\n" % mode
    assert service.run("stat -c %U " + LOG).out == "www-data\n"


def test_tmpfiles_makes_the_runtime_directory(service):
    service.run("systemctl stop luafcgid2 && rm -rf /run/luafcgid2")
    service.run("systemd-tmpfiles --create luafcgid2.conf")
    assert service.run("stat -c '%U %a' /run/luafcgid2").out == "www-data 755\n"


# -- What systemd is told --

def test_start_returns_when_it_serves(service):
    """READY=1 comes when the socket listens and the workers run, not before."""
    for _ in range(5):
        service.run("systemctl stop luafcgid2 && systemctl start luafcgid2")
        with connect(service) as connection:
            assert begin(connection, "/hello.lua").response().text == "hello"


def test_workers_leave_the_core_to_the_web_server(service):
    """The filter of system calls does not let the daemon ask for it: the unit does."""
    pid = service.property("MainPID")
    policies = service.run("awk '{print $41}' /proc/%s/task/*/stat" % pid).out.split()
    assert len(policies) > 2 and set(policies) == {str(os.SCHED_BATCH)}


def test_the_status_counts_requests(service):
    """It goes with the watchdog's message, so that is made to come often."""
    drop_in(service, "[Service]\nWatchdogSec=%d\n" % WATCHDOG)

    def number():
        found = re.search(r"(\d+) requests served, \d+ Lua states,",
                          service.property("StatusText"))
        return int(found.group(1)) if found else -1
    wait_until(lambda: number() >= 0, "a status with a number of requests")
    before = number()
    for _ in range(7):
        assert serves(service)
    wait_until(lambda: number() >= before + 7, "the status to count seven more")


def test_the_watchdog_is_fed_and_bites(service):
    """Stopped in its tracks it is killed and started again."""
    drop_in(service, "[Service]\nWatchdogSec=%d\n" % WATCHDOG)
    pid = service.pid()
    fed = service.property("WatchdogTimestampMonotonic")
    wait_until(lambda: service.property("WatchdogTimestampMonotonic") != fed, "a WATCHDOG=1")
    wait_until(lambda: int(service.property("WatchdogTimestampMonotonic")) >
               int(fed) + 2_000_000 * WATCHDOG, "it to live longer than its watchdog's time")
    assert service.pid() == pid
    service.signal("STOP")
    wait_until(lambda: service.pid() not in (0, pid), "a new process")
    wait_for_service(service)
    assert serves(service)


def test_a_stop_is_announced_and_clean(service):
    seen = len(log(service))
    service.run("systemctl stop luafcgid2")
    assert service.property("Result") == "success"
    assert service.property("ExecMainStatus") == "0"
    assert not service.exists(SOCKET)
    in_log(service, "stopp", seen)


# -- Reload --

def test_reload_under_load_fails_no_request(service):
    pid, seen = service.pid(), len(log(service))
    with service.load("/hello.lua") as load:
        for i in range(10):
            service.write(CONFIG, service.config + "MaxPostSize = %d\n" % (5000 + i))
            before = log(service).count("configuration reloaded")
            service.run("systemctl reload luafcgid2")
            wait_until(lambda b=before: log(service).count("configuration reloaded") > b,
                       "the reload")
            wait_until(lambda: service.property("ActiveState") == "active", "READY=1")
    assert load.failures == [] and load.good > 100
    assert service.pid() == pid
    assert "error" not in log(service)[seen:]


def test_reload_of_a_mistake_fails_and_says_where(service):
    pid = service.pid()
    service.write(CONFIG, service.config + 'WorkerThreads = "four"\n')
    assert service.run("systemctl reload luafcgid2", check=False).status != 0
    assert any("WorkerThreads" in entry["MESSAGE"] for entry in service.journal())
    assert service.pid() == pid and serves(service)


def test_start_with_a_mistake_fails_and_says_where(service):
    service.write(CONFIG, service.config + "Backlog = {}\n")
    seen = len(service.journal())
    assert service.run("systemctl restart luafcgid2", check=False).status != 0
    wait_until(lambda: any("Backlog" in entry["MESSAGE"]
                           for entry in service.journal()[seen:]), "its reason in the journal")

# -- Crashes and stops --

def test_after_kill_9_it_serves_again(service):
    pid = service.pid()
    service.signal("KILL")
    wait_until(lambda: service.pid() not in (0, pid), "a new process")
    wait_for_service(service)
    assert serves(service)
    assert int(service.property("NRestarts")) == service.restarts + 1


def test_a_stop_lets_running_requests_end(service):
    """Also those that wait for a child process: TERM is not for the child."""
    with connect(service) as connection:
        begin(connection, "/slow.lua")
        begun = connection.read_until("begun,")
        service.run("systemctl stop luafcgid2")
        response = connection.response(before=begun)
    assert response.ended and response.text == "begun,slept,ended"
    assert service.property("Result") == "success"


def test_a_restart_through_nginx_lets_running_requests_end(service):
    answers = []
    thread = threading.Thread(target=lambda: answers.append(service.get("/slow.lua")))
    seen = service.pid()
    thread.start()
    wait_until(lambda: service.run("pgrep -x sleep", check=False).status == 0, "the child")
    service.run("systemctl restart luafcgid2")
    thread.join()
    assert answers == [(200, "begun,slept,ended")]
    assert service.pid() != seen


# -- Socket activation --

@pytest.fixture
def activated(service):
    service.run("systemctl stop luafcgid2")
    service.run("systemctl enable --now luafcgid2.socket")
    yield service
    service.run("systemctl disable --now luafcgid2.socket")
    forget_starts(service)
    service.run("systemctl restart luafcgid2")


def test_the_first_connection_starts_the_daemon(activated):
    assert activated.property("ActiveState") == "inactive"
    assert serves(activated)
    assert activated.property("ActiveState") == "active"
    assert activated.run("stat -c '%U %G %a' " + SOCKET).out == "www-data www-data 660\n"


def test_the_handed_over_socket_is_used_whatever_listen_says(activated):
    activated.write(CONFIG, activated.original)
    assert serves(activated)
    assert not activated.exists(DEFAULT_SOCKET)


def test_the_socket_stays_when_the_daemon_ends(activated):
    assert serves(activated)
    activated.run("systemctl stop luafcgid2.service")
    assert activated.run("test -S %s && systemctl is-active luafcgid2.socket" % SOCKET)
    assert serves(activated)


class Knocker(threading.Thread):
    """Connects over and over, and asks on each connection."""

    def __init__(self, machine):
        super().__init__(daemon=True)
        self.machine, self.stop = machine, threading.Event()
        self.refused, self.unanswered, self.good = [], [], 0

    def run(self):
        while not self.stop.is_set():
            try:
                connection = connect(self.machine, timeout=45)
            except OSError as problem:
                self.refused.append(repr(problem))
                continue
            try:
                with connection:
                    response = begin(connection, "/hello.lua").response()
                if response.status == 200 and response.text == "hello":
                    self.good += 1
                else:
                    self.unanswered.append(repr(response))
            except (OSError, AssertionError) as problem:
                self.unanswered.append(repr(problem))

    def __enter__(self):
        self.start()
        wait_until(lambda: self.good or self.refused or self.unanswered, "a first answer")
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.join()


def test_restarts_with_socket_activation_lose_nothing(activated):
    with Knocker(activated) as knocker, activated.load("/hello.lua") as load:
        for _ in range(5):
            before = activated.pid()
            activated.run("systemctl restart luafcgid2.service")
            wait_until(lambda b=before: activated.pid() not in (0, b), "a new process")
            good = knocker.good
            wait_until(lambda g=good: knocker.good > g + 20, "requests to it")
    assert (knocker.refused, knocker.unanswered, load.failures) == ([], [], [])


def test_a_crash_with_socket_activation_refuses_no_connection(activated):
    with Knocker(activated) as knocker:
        for _ in range(3):
            before, good = activated.pid(), knocker.good
            activated.signal("KILL")
            wait_until(lambda b=before: activated.pid() not in (0, b), "a new process")
            wait_until(lambda g=good: knocker.good > g + 20, "requests to it")
    assert knocker.refused == []
    # The one request that was running can't be saved.
    assert len(knocker.unanswered) <= 3, knocker.unanswered


def test_connections_wait_while_the_daemon_cannot_start(activated):
    activated.write(CONFIG, activated.config + "WorkerThreads = = 4\n")
    activated.run("systemctl stop luafcgid2.service")
    with connect(activated) as connection:
        begin(connection, "/hello.lua")
        wait_until(lambda: activated.property("NRestarts") != "0" or
                   activated.property("Result") != "success", "a start that fails")
        activated.write(CONFIG, activated.config)
        assert connection.response(timeout=60).text == "hello"


# -- The journal and the log --

def test_the_journal_is_readable(service):
    """Without a log file, standard error is the journal: one entry a line, plain text."""
    service.write(CONFIG, service.config + 'LogFilePath = ""\n')
    service.run("systemctl restart luafcgid2")
    assert service.get("/print.lua") == (200, "logged")

    def entry():
        return [e for e in service.journal() if "a line from a script" in str(e["MESSAGE"])]
    found = wait_until(entry, "the script's line in the journal")
    assert len(found) == 1
    assert isinstance(found[0]["MESSAGE"], str), "a blob"
    assert "/var/www/html/print.lua" in found[0]["MESSAGE"]
    assert found[0]["SYSLOG_IDENTIFIER"] == "luafcgid2"


def test_logrotate(service):
    service.run("logrotate --force /etc/logrotate.d/luafcgid2")
    rotated = LOG + ".1"
    assert service.exists(rotated)
    seen = len(service.read(rotated))
    in_log(service, "log reopened")
    assert service.get("/print.lua") == (200, "logged")
    in_log(service, "a line from a script")
    assert "a line from a script" not in service.read(rotated)[seen:]
    assert service.run("stat -c '%U %G %a' " + LOG).out == "www-data www-data 640\n"
    # Once more: the older one is compressed, and a stopped service is no fault.
    service.run("systemctl stop luafcgid2")
    service.run("logrotate --force /etc/logrotate.d/luafcgid2")
    assert service.exists(LOG + ".2.gz")


# -- The sandbox --

def test_what_a_script_can_and_cannot_do(service):
    service.run("mkdir -p /home/pi && echo text >/home/pi/page.txt && chown -R www-data /home/pi")
    status, body = service.get("/sandbox.lua")
    assert status == 200, body
    got = dict(line.split(": ", 1) for line in body.splitlines())
    for name in ("state directory", "log directory", "/var/tmp", "/tmp", "reads home",
                 "relative path", "load average", "network", "name", "ipv6", "database"):
        assert got[name] == "yes", (name, got)
    for name in ("/etc", "its own directory", "home"):
        assert got[name].startswith("no, ") and "ead-only" in got[name], (name, got)
    assert got["child"] == "www-data"
    assert re.fullmatch(r"CapEff:\s+0+ NoNewPrivs:\s+1", got["privileges"]), got
    assert "No such file" in got["processes"], got
    assert got["notify"] == "nil"
    assert not set(got["environment"].split()) & {
        "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_FDS", "LISTEN_PID"}, got
    # The machine's own /tmp has nothing of it.
    assert not service.exists("/tmp/luafcgid2-test")


def test_a_user_of_its_own(service):
    service.run("useradd --system --home-dir /var/lib/luafcgid2 --shell /usr/sbin/nologin "
                "luafcgid2")
    example = service.read("/usr/share/doc/luafcgid2/systemd/own-user.conf")
    try:
        drop_in(service, example)
        assert serves(service)
        assert service.run("stat -c %%U /proc/%d" % service.pid()).out == "luafcgid2\n"
        for name in ("/run/luafcgid2", "/var/log/luafcgid2", "/var/lib/luafcgid2", LOG):
            assert service.run("stat -c %U " + name).out == "luafcgid2\n"
    finally:
        service.run("rm -rf %s; systemctl daemon-reload; systemctl restart luafcgid2" % DROP_INS)
        service.run("userdel luafcgid2")
    assert service.run("stat -c %U " + LOG).out == "www-data\n"
    assert serves(service)


def test_scripts_that_use_the_pins(service):
    """hardware.conf, with the groups of Raspberry Pi OS; its devices are not to be had."""
    example = service.read("/usr/share/doc/luafcgid2/systemd/hardware.conf")
    groups = re.search(r"^SupplementaryGroups=(.*)$", example, re.MULTILINE).group(1).split()
    for group in groups:
        service.run("groupadd --system " + group)
    try:
        drop_in(service, example)
        assert serves(service)
        status = service.read("/proc/%d/status" % service.pid())
        numbers = set(re.search(r"^Groups:(.*)$", status, re.MULTILINE).group(1).split())
        for group in groups:
            assert service.run("getent group " + group).out.split(":")[2] in numbers
    finally:
        service.run("rm -rf %s; systemctl daemon-reload; systemctl restart luafcgid2" % DROP_INS)
        for group in groups:
            service.run("groupdel " + group)


def test_sessions_survive_a_restart_in_the_state_directory(service):
    service.write(CONFIG, service.config + 'SessionFile = "/var/lib/luafcgid2/sessions"\n')
    service.run("systemctl restart luafcgid2")

    def count(cookie=""):
        with connect(service) as connection:
            return begin(connection, "/count.lua", HTTP_COOKIE=cookie).response()
    first = count()
    assert first.text == "1"
    cookie = first.header("Set-Cookie").partition(";")[0]
    assert count(cookie).text == "2"
    service.run("systemctl restart luafcgid2")
    assert service.run("stat -c '%U %a' /var/lib/luafcgid2/sessions").out == "www-data 600\n"
    assert count(cookie).text == "3"


# -- Upgrades, and the end --

def test_update_replaces_the_program_and_restarts(service):
    before, inode = service.pid(), service.run("stat -c %i /usr/bin/luafcgid2").out
    page = service.run("stat -c %i /usr/share/man/man8/luafcgid2.8").out
    make(service, "update")
    assert service.run("stat -c %i /usr/bin/luafcgid2").out != inode
    assert service.run("stat -c %i /usr/share/man/man8/luafcgid2.8").out == page
    assert service.pid() not in (0, before)
    assert service.run("readlink /proc/%d/exe" % service.pid()).out == "/usr/bin/luafcgid2\n"
    assert serves(service)


def test_below_another_root_the_running_service_is_left_alone(service):
    pid = service.pid()
    units = service.run("systemctl list-unit-files 'luafcgid2*' --no-legend").out
    try:
        for target in ("install install-daemon", "update", "uninstall"):
            make(service, target + " DESTDIR=/dest")
    finally:
        service.run("rm -rf /dest")
    assert service.pid() == pid and serves(service)
    assert service.run("systemctl list-unit-files 'luafcgid2*' --no-legend").out == units
    assert service.property("NeedDaemonReload") == "no"


def test_update_starts_nothing_that_was_stopped(service):
    service.run("systemctl stop luafcgid2")
    make(service, "update")
    assert service.property("ActiveState") == "inactive"


def test_an_upgrade_keeps_a_changed_configuration(service):
    reference = "/usr/src/luafcgid2/config.lua"
    kept = service.read(reference)
    try:
        service.write(reference, kept + "-- an option of the next version\n")
        result = make(service, "install install-daemon")
    finally:
        service.write(reference, kept)
    assert "now: systemctl restart luafcgid2" in result.out
    assert service.read(CONFIG) == service.config
    assert service.read(CONFIG + ".new") == kept + "-- an option of the next version\n"
    service.run("systemctl restart luafcgid2")
    assert serves(service)


def test_uninstall_keeps_configuration_and_logs_and_says_so(service):
    result = make(service, "uninstall")
    assert "kept: /etc/luafcgid2" in result.out
    assert service.read(CONFIG) == service.config
    assert service.exists(LOG)
    assert service.run("pgrep -x luafcgid2", check=False).status == 1
    assert service.property("LoadState") == "not-found"
    left = service.run("find / -xdev -name '*luafcgid2*' ! -path '/usr/src/*' "
                       "! -path '/proc/*' ! -path '/var/cache/*' -print").out.split()
    assert sorted(left) == sorted(set(left) & {
        "/etc/luafcgid2", "/etc/default/luafcgid2", "/var/log/luafcgid2", LOG, LOG + ".1",
        LOG + ".2.gz", "/var/lib/luafcgid2", "/var/tmp/luafcgid2-test",
        "/etc/nginx/sites-enabled/luafcgid2", "/run/luafcgid2"})
    # And back again, as the fixture expects it.
    result = make(service, "install install-daemon")
    assert "now: systemctl enable --now luafcgid2" in result.out
    service.run("systemctl start luafcgid2")
    assert serves(service)
