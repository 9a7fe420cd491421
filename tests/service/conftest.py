"""The Debian tree of run.sh, with luafcgid2 built and installed in it from source."""

import os

import pytest

from machine import Machine, Tree, make

HERE = os.path.dirname(os.path.abspath(__file__))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """A failed test shows what the service has said."""
    report = (yield).get_result()
    machine = item.funcargs.get("machine")
    if report.failed and machine and machine.process.poll() is None:
        report.sections.append((
            "journal and log of the service (last lines)",
            machine.run("journalctl --no-pager -n 30 -u 'luafcgid2*'; "
                        "tail -n 20 /var/log/luafcgid2/luafcgid2.log", check=False).out))


@pytest.fixture(scope="session")
def bare_tree():
    """Built, and nothing installed yet."""
    tree = Tree(os.environ["LUAFCGID2_TREE"])
    tree.run("rm -f /etc/nginx/sites-enabled/default")
    tree.write("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n")
    tree.run("mount -t proc proc /proc")
    make(tree, "-j2 WERROR=1")
    yield tree
    tree.run("umount /proc")


@pytest.fixture(scope="session")
def tree(bare_tree):
    """Installed, and a site in /var/www/html."""
    make(bare_tree, "install install-daemon")
    for name in sorted(os.listdir(os.path.join(HERE, "site"))):
        with open(os.path.join(HERE, "site", name), encoding="utf-8") as f:
            bare_tree.write("/var/www/html/" + name, f.read())
    return bare_tree


@pytest.fixture(scope="session")
def machine(tree):
    # Else the machine would take this /proc, with our processes in it, for its own.
    tree.run("umount /proc")
    machine = Machine(tree.root).boot()
    yield machine
    machine.power_off()
    tree.run("mount -t proc proc /proc")
