"""The README, followed to the letter where nothing is installed."""

import os
import re
import time

from machine import SOURCE, wait_until

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


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
                       "env HOME=/home/pi USER=pi bash -e /tmp/step", timeout=300)


def is_there(machine):
    return machine.get(NAME) == (200, "<h1>Hello from Lua 5.3</h1>")


def test_a_page_in_five_minutes(new_machine, capsys):
    """By a user with sudo, from apt-get update to the page that is promised."""
    steps, began = [], time.monotonic()
    for command in commands(TOLD):
        start = time.monotonic()
        types(new_machine, command)
        steps.append("%6.1f s  %s" % (time.monotonic() - start, command.strip()))
    # nginx's reload returns before its new workers have taken over.
    wait_until(lambda: is_there(new_machine), "the page", 10)
    total = time.monotonic() - began
    with capsys.disabled():
        print("\n%s\n%6.1f s  in all" % ("\n".join(steps), total))
    assert len(steps) > 5 and total < 300
    assert new_machine.run("systemctl is-enabled luafcgid2 nginx").out == "enabled\nenabled\n"


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
    result = root_tree.run("cd %s && sh scripts/demo.sh --check" % SOURCE, timeout=300)
    assert re.search(r"^(\d+) of \1 answers were right\.$", result.out, re.MULTILINE), result
    assert "FAIL" not in result.out
