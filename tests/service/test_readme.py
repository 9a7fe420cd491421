"""The README, followed to the letter where nothing is installed."""

import os
import re
import time

from machine import SOURCE, PackageProxy, wait_until

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LONG = 900  # seconds for what downloads, however slow the mirror is


def section(title):
    with open(os.path.join(TOP, "README"), encoding="utf-8") as f:
        found = re.search(r"^%s\n-+\n(.*?)(?=^[^\n]+\n---|\Z)" % re.escape(title), f.read(),
                          re.MULTILINE | re.DOTALL)
    assert found, title
    return found.group(1)


PAGE = section("A page in five minutes")
TOLD, NAME, AFTERWARDS = re.fullmatch(
    r"(.*)\nhttp://127\.0\.0\.1(/\S+) is there(.*)", PAGE, re.DOTALL).groups()


def commands(text):
    """The indented lines, each with those that continue it; pasted as they are."""
    lines = "".join(line for line in text.splitlines(True) if line.startswith("    "))
    return re.findall(r"(?:.*[|\\]\n)*.*\n", lines)


def types(machine, command):
    """As the user pi, in the directory of the source."""
    machine.write("/tmp/step", command)
    return machine.run("cd /home/pi/luafcgid2 && setpriv --reuid=pi --regid=pi --init-groups "
                       "env HOME=/home/pi USER=pi bash -e /tmp/step", timeout=LONG)


def is_there(machine):
    return machine.get(NAME) == (200, "<h1>Hello from Lua 5.3</h1>")


def follow_the_guide(machine):
    """From apt-get update to the page that is promised; what each step took."""
    steps = []
    for command in commands(TOLD):
        start = time.monotonic()
        types(machine, command)
        steps.append("%6.1f s  %s" % (time.monotonic() - start, command.strip()))
    # nginx's reload returns before its new workers have taken over.
    wait_until(lambda: is_there(machine), "the page")
    assert machine.run("systemctl is-enabled luafcgid2 nginx").out == "enabled\nenabled\n"
    return steps


def assert_shown(result):
    """The demonstration has served its site."""
    assert re.search(r"^(\d+) of \1 answers were right\.$", result.out, re.MULTILINE), result
    assert "FAIL" not in result.out


def test_a_page_in_five_minutes(new_machine, capsys):
    """By a user with sudo. How fast his connection is, is another matter."""
    began, loaded = time.monotonic(), PackageProxy.downloads.seconds
    steps = follow_the_guide(new_machine)
    total = time.monotonic() - began
    loaded = PackageProxy.downloads.seconds - loaded
    with capsys.disabled():
        print("\n%s\n%6.1f s  in all, %.1f s of them for downloads" % (
            "\n".join(steps), total, loaded))
    assert len(steps) > 5 and loaded > 0 and total - loaded < 300


def test_the_demonstration_beside_the_page(new_machine):
    """It leaves the nginx that is there alone."""
    def nginx():
        return new_machine.run("systemctl show -P MainPID nginx; "
                               "find /etc/nginx -newer /tmp/step").out
    types(new_machine, "true")
    before = nginx()
    assert_shown(types(new_machine, "sh scripts/demo.sh --check"))
    assert nginx() == before and is_there(new_machine)


def test_the_demonstration_before_the_page(demo_machine):
    """It installs nginx and leaves it stopped and disabled, and the guide goes on from there."""
    result = types(demo_machine, "sh scripts/demo.sh --check")
    assert_shown(result)
    assert re.search(r"^To fetch: \d\d+ MB\.$", result.out, re.MULTILINE), result
    assert "apt-get may say that it is masked" in result.out
    assert demo_machine.run("systemctl is-active nginx; systemctl is-enabled nginx",
                            check=False).out == "inactive\ndisabled\n"
    follow_the_guide(demo_machine)


def test_what_says_why_there_is_no_page(new_machine):
    told = [line for line in commands(AFTERWARDS) if line.startswith("    sudo ")]
    out = "".join(types(new_machine, command).out for command in told)
    assert "active (running)" in out and "started: 4 workers" in out
    assert "==> /var/log/nginx/error.log <==" in out


def test_a_service_for_years(new_machine):
    """Each line is a command and what it is for, with a gap in between."""
    told = re.findall(r"^ {4}(\S.*?) {2,}", section("A service for years"), re.MULTILINE)
    assert len(told) == 5
    for command in told:
        assert is_there(new_machine), "before: " + command
        result = types(new_machine, command)
        if "journalctl" in command:
            assert "Started luafcgid2.service" in result.out
    assert "kept: /etc/luafcgid2" in result.out
    assert new_machine.run("command -v luafcgid2", check=False).out == ""


def test_the_demonstration_where_root_has_no_sudo(root_tree):
    """The first command of the README brings all that it needs, and starts no service."""
    assert root_tree.run("command -v sudo make cc curl nginx", check=False).out == ""
    assert_shown(root_tree.run("cd %s && sh scripts/demo.sh --check" % SOURCE, timeout=LONG))
    assert "S01nginx" not in root_tree.run("ls /etc/rc2.d").out


def test_the_demonstration_where_only_root_can_read(root_tree):
    """It goes on as root, and says what to do about that."""
    root_tree.run("cp -a %s /root/ && chmod 700 /root" % SOURCE)
    result = root_tree.run("cd /root/luafcgid2 && sh scripts/demo.sh --check", timeout=LONG)
    assert_shown(result)
    assert "will run as root.\nThey will not in a copy that others can read" in result.out


def without_systemd():
    """The guide's commands with its replacements for systemctl, and without sudo."""
    words = re.search(r"Where there is no systemd, say(.*?)\.\n", TOLD, re.DOTALL).group(1)
    daemon, daemon_start, nginx, nginx_start = re.findall(r'"(.*?)"', words)
    instead = iter([daemon + "; " + daemon_start, nginx, nginx_start])
    return [next(instead) if "systemctl" in command else command.replace("sudo ", "")
            for command in commands(TOLD)]


def test_a_page_in_five_minutes_where_there_is_no_systemd(root_tree):
    """By root, after the demonstration above."""
    downloads, rest = without_systemd()[:2], without_systemd()[2:]
    for command in downloads:
        root_tree.run(command, timeout=LONG)
    with root_tree.own_network():
        try:
            for command in rest:
                root_tree.run("cd %s && %s" % (SOURCE, command), timeout=LONG)
            assert is_there(root_tree)
        finally:
            root_tree.run("service luafcgid2 stop; service nginx stop", check=False)
    starts = root_tree.run("ls /etc/rc2.d").out.split()
    assert {"S01luafcgid2", "S01nginx"} <= set(starts)
