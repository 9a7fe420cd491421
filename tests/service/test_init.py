"""The init script, in a plain chroot: no systemd, no supervisor."""

import os
import signal
import socket
import subprocess
import threading

import pytest

import fastcgi
from machine import make, wait_until

PIDFILE = "/run/luafcgid2/luafcgid2.pid"
CONFIG = "/etc/luafcgid2/config.lua"
SOCKET = "/run/luafcgid2/luafcgid2.sock"
LOG = "/var/log/luafcgid2/luafcgid2.log"

# LSB: what start, stop and so on exit with; and what status says.
USAGE, NO_RIGHT, NOT_INSTALLED, NOT_CONFIGURED, NOT_RUNNING = 2, 4, 5, 6, 7
STATUS_DEAD_WITH_FILE, STATUS_STOPPED = 1, 3


class Script:
    def __init__(self, tree):
        self.tree = tree
        self.config = tree.read(CONFIG) + '\nListen = "%s"\n' % SOCKET

    def __call__(self, action, status=0):
        result = self.tree.run("service luafcgid2 " + action, check=False)
        assert result.status == status, result
        return result

    def configure(self, more=""):
        self.tree.write(CONFIG, self.config + more)

    def pid(self):
        """The daemon's, as it says itself; None without a file."""
        if not self.tree.exists(PIDFILE):
            return None
        return int(self.tree.read(PIDFILE))

    def daemons(self):
        """Process ids of all daemons of this tree."""
        found = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/comm" % name, encoding="ascii") as f:
                    ours = (f.read() == "luafcgid2\n" and
                            os.readlink("/proc/%s/root" % name) == self.tree.root)
            except OSError:
                continue
            if ours:
                found.append(int(name))
        return found

    def serves(self):
        with socket.socket(socket.AF_UNIX) as s:
            # Through /proc, since a socket's name has no room for a long path.
            directory = os.open(self.tree.path(os.path.dirname(SOCKET)), os.O_PATH)
            try:
                s.connect("/proc/self/fd/%d/%s" % (directory, os.path.basename(SOCKET)))
            finally:
                os.close(directory)
        return True


@pytest.fixture
def script(tree):
    script = Script(tree)
    before = tree.read(CONFIG)
    script.configure()
    assert script.daemons() == []
    yield script
    tree.write(CONFIG, before)
    script("stop")
    wait_until(lambda: not script.daemons(), "the daemons to end")
    tree.run("rm -f " + PIDFILE)


@pytest.fixture
def running(script):
    script("start")
    return script


def test_the_script_is_clean_shell(tree):
    subprocess.run(["shellcheck", "--shell=sh", tree.path("/etc/init.d/luafcgid2")], check=True)


def test_start_serves_as_the_web_servers_user_and_stop_leaves_nothing(script):
    script("status", STATUS_STOPPED)
    script("start")
    script("status")
    assert script.serves()
    assert script.daemons() == [script.pid()]
    user = int(script.tree.run("id -u www-data").out)
    group = int(script.tree.run("id -g www-data").out)
    status = script.tree.run("cat /proc/%d/status" % script.pid()).out
    assert "\nUid:\t%d\t%d\t%d\t%d\n" % (4 * (user,)) in status
    assert "\nGid:\t%d\t%d\t%d\t%d\n" % (4 * (group,)) in status
    script("stop")
    assert script.daemons() == []
    assert not script.tree.exists(PIDFILE) and not script.tree.exists(SOCKET)
    script("status", STATUS_STOPPED)


def test_the_directories_belong_to_the_user(running):
    for name, mode in (("/run/luafcgid2", "755"), ("/var/log/luafcgid2", "750"),
                       ("/var/lib/luafcgid2", "700")):
        assert running.tree.run("stat -c '%U %a' " + name).out == "www-data %s\n" % mode
    assert running.tree.run("stat -c %U " + LOG).out == "www-data\n"


def test_an_installation_says_what_to_do_next(script):
    assert "now: update-rc.d luafcgid2 defaults; service luafcgid2 start\n" in make(
        script.tree, "install-daemon").out
    script("start")
    assert "now: service luafcgid2 restart" in make(script.tree, "install-daemon").out
    pid = script.pid()
    make(script.tree, "update")
    assert script.pid() != pid and script.serves()


def test_start_twice_is_fine_and_starts_one(running):
    pid = running.pid()
    assert "already running" in running("start").out
    assert running.pid() == pid and running.daemons() == [pid]


def test_ten_starts_at_once_start_one(script):
    threads = [threading.Thread(target=script.tree.run, args=["service luafcgid2 start", False])
               for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_until(lambda: script.daemons() == [script.pid()], "one daemon, the one in the file")
    script("status")
    assert script.serves()


def test_stop_twice_is_fine(running):
    running("stop")
    running("stop")


def test_restart_is_another_process(running):
    before = running.pid()
    running("restart")
    assert running.pid() != before and running.daemons() == [running.pid()]
    assert running.serves()


def test_restart_starts_what_is_stopped(script):
    script("restart")
    assert script.serves()


def test_try_restart_only_when_it_runs(script):
    script("try-restart")
    assert script.daemons() == []
    script("start")
    before = script.pid()
    script("try-restart")
    assert script.pid() != before


@pytest.mark.parametrize("action", ["reload", "force-reload"])
def test_reload_reads_the_configuration_in_the_same_process(running, action):
    before, seen = running.pid(), len(running.tree.read(LOG))
    running.configure("MaxPostSize = 4711\n")
    running(action)
    wait_until(lambda: "configuration" in running.tree.read(LOG)[seen:], "the log to tell of it")
    assert running.pid() == before


def test_reload_of_what_is_stopped_fails(script):
    script("reload", NOT_RUNNING)
    script("rotate", NOT_RUNNING)


def test_force_reload_starts_what_is_stopped(script):
    script("force-reload")
    assert script.serves()


@pytest.mark.parametrize("action", ["reload", "restart", "force-reload", "try-restart"])
def test_a_mistake_in_the_configuration_disturbs_nothing(running, action):
    before = running.pid()
    running.configure('WorkerThreads = "four"\n')
    result = running(action, NOT_CONFIGURED)
    assert "WorkerThreads" in result.err
    assert running.pid() == before and running.serves()


def test_start_with_a_mistake_in_the_configuration(script):
    script.configure("WorkerThreads = = 4\n")
    assert "config.lua" in script("start", NOT_CONFIGURED).err
    assert script.daemons() == []


def test_start_without_a_configuration(script):
    script.tree.run("mv %s %s.away" % (CONFIG, CONFIG))
    try:
        assert CONFIG in script("start", NOT_CONFIGURED).out
    finally:
        script.tree.run("mv %s.away %s" % (CONFIG, CONFIG))


def test_start_when_the_socket_cannot_be_had_says_why(script):
    script.tree.run("mkdir -p /run/luafcgid2 && echo precious >%s" % SOCKET)
    try:
        assert SOCKET in script("start", 1).err
        assert script.tree.read(SOCKET) == "precious\n"
        assert script.daemons() == []
    finally:
        script.tree.run("rm " + SOCKET)


def test_start_after_a_crash_takes_over(running):
    pid = running.pid()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not os.path.exists("/proc/%d" % pid), "the daemon to be gone")
    running("status", STATUS_DEAD_WITH_FILE)
    running("start")
    assert running.pid() != pid and running.serves()


def test_a_stale_file_with_the_number_of_another_process_harms_nobody(script):
    script.tree.run("install -d -o www-data /run/luafcgid2")
    sleeper = subprocess.Popen(["sleep", "300"])
    try:
        script.tree.write(PIDFILE, "%d\n" % sleeper.pid)
        script("stop")
        assert sleeper.poll() is None
        script("start")
        assert script.pid() != sleeper.pid and script.serves()
        assert sleeper.poll() is None
    finally:
        sleeper.kill()
        sleeper.wait()


def test_the_daemon_is_found_after_its_program_was_replaced(running):
    running.tree.run("cd /usr/bin && cp luafcgid2 luafcgid2.tmp && mv luafcgid2.tmp luafcgid2")
    running("status")
    before = running.pid()
    running("restart")
    assert running.pid() != before and running.daemons() == [running.pid()]


def test_rotate_opens_the_log_anew(running):
    running.tree.run("mv %s %s.1" % (LOG, LOG))
    running("rotate")
    wait_until(lambda: running.tree.exists(LOG), "the new log")
    running.tree.run("rm %s.1" % LOG)


def test_logrotate_finds_the_daemon_by_the_init_script(running):
    wait_until(lambda: "started" in running.tree.read(LOG), "a line")  # an empty one is kept
    seen = len(running.tree.read(LOG))
    running.tree.run("logrotate --force /etc/logrotate.d/luafcgid2")
    wait_until(lambda: running.tree.exists(LOG), "the new log")
    wait_until(lambda: "log reopened" in running.tree.read(LOG), "it to be the daemon's")
    assert "log reopened" not in running.tree.read(LOG + ".1")[seen:]
    running("stop")
    running.tree.run("logrotate --force /etc/logrotate.d/luafcgid2 && rm %s.*" % LOG)


def test_running_requests_end_before_stop_returns(running):
    directory = os.open(running.tree.path("/run/luafcgid2"), os.O_PATH)
    try:
        connection = fastcgi.Connection(
            "/proc/self/fd/%d/%s" % (directory, os.path.basename(SOCKET)))
    finally:
        os.close(directory)
    with connection:
        connection.begin({"SCRIPT_FILENAME": "/var/www/html/slow.lua",
                          "REQUEST_METHOD": "GET", "SCRIPT_NAME": "/slow.lua"})
        connection.end()
        begun = connection.read_until("begun,")
        running("stop")
        assert running.daemons() == []
        response = connection.response(before=begun)
    assert response.ended and response.text == "begun,slept,ended"


def test_wrong_usage(script):
    assert "Usage" in script("frobnicate", USAGE).err
    assert "Usage" in script("", USAGE).err


def test_only_root_may(script):
    result = script.tree.run("setpriv --reuid=www-data --regid=www-data --clear-groups "
                             "/etc/init.d/luafcgid2 start", check=False)
    assert result.status == NO_RIGHT, result
    result = script.tree.run("setpriv --reuid=www-data --regid=www-data --clear-groups "
                             "/etc/init.d/luafcgid2 status", check=False)
    assert result.status == STATUS_STOPPED, result


def test_start_without_the_program(script):
    script.tree.run("mv /usr/bin/luafcgid2 /usr/bin/luafcgid2.away")
    try:
        script("start", NOT_INSTALLED)
    finally:
        script.tree.run("mv /usr/bin/luafcgid2.away /usr/bin/luafcgid2")


def test_defaults_choose_user_and_configuration(script):
    script.tree.run("useradd --system lua")
    script.tree.run("mkdir -p /srv/lua")
    script.tree.write("/srv/lua/config.lua", script.config)
    kept = script.tree.read("/etc/default/luafcgid2")
    script.tree.write("/etc/default/luafcgid2",
                      kept + "CONFIG=/srv/lua/config.lua\nDAEMON_USER=lua\n"
                             "export COLOUR=green\n")
    try:
        script("start")
        status = script.tree.run("stat -c %%U /proc/%d" % script.pid()).out
        environment = script.tree.run("tr '\\0' '\\n' </proc/%d/environ" % script.pid()).out
        script("stop")
    finally:
        script.tree.write("/etc/default/luafcgid2", kept)
        script.tree.run("chown -R www-data:www-data /var/log/luafcgid2; userdel lua")
    assert status == "lua\n"
    assert "COLOUR=green\n" in environment


def test_it_can_be_put_in_the_boot_sequence(tree):
    tree.run("update-rc.d luafcgid2 defaults")
    try:
        links = tree.run("ls /etc/rc2.d /etc/rc6.d").out
        assert "S01luafcgid2" in links and "K01luafcgid2" in links
    finally:
        tree.run("update-rc.d luafcgid2 remove")
