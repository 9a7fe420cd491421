"""The Debian trees of run.sh: one with what is needed to build luafcgid2 from source, and
four for the README and the tutorial, with nothing."""

import contextlib
import os
import shutil

import pytest

from machine import SOURCE, Machine, PackageProxy, Tree, make

HERE = os.path.dirname(os.path.abspath(__file__))
TREES = os.environ["LUAFCGID2_TREES"]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """A failed test shows what the service has said."""
    report = (yield).get_result()
    machine = next((item.funcargs[name] for name in ("machine", "new_machine", "demo_machine",
                                                     "tutorial_machine")
                    if name in item.funcargs), None)
    if report.failed and machine and machine.process.poll() is None:
        report.sections.append((
            "journal and log of the service (last lines)",
            machine.run("journalctl --no-pager -n 30 -u 'luafcgid2*'; "
                        "tail -n 20 /var/log/luafcgid2/luafcgid2.log", check=False).out))


@pytest.fixture(scope="session")
def bare_tree():
    """Built, and nothing installed yet."""
    tree = Tree(os.path.join(TREES, "tree"))
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


@contextlib.contextmanager
def boot_new(name):
    """A machine that has only what every one has, with the source in its user's home."""
    tree = Tree(os.path.join(TREES, name))
    tree.run("useradd -m -s /bin/bash pi && mv %s /home/pi && chown -R pi: /home/pi" % SOURCE)
    tree.write("/etc/sudoers.d/pi", "pi ALL=(ALL) NOPASSWD: ALL\n", 0o440)
    # As an image comes: without lists of packages. Enter is pressed when apt-get asks.
    tree.run("rm -rf /var/lib/apt/lists/*")
    tree.write("/etc/apt/apt.conf.d/enter", 'APT::Get::Assume-Yes "true";\n')
    machine = Machine(tree.root).boot()
    try:
        with PackageProxy(machine) as proxy:
            tree.write("/etc/apt/apt.conf.d/proxy", 'Acquire::http::Proxy "%s";\n' % proxy.url)
            yield machine
    finally:
        machine.power_off()


@pytest.fixture(scope="module")
def new_machine():
    with boot_new("new") as machine:
        yield machine


@pytest.fixture
def demo_machine():
    """Another one, on which the demonstration comes before everything else."""
    with boot_new("demo") as machine:
        yield machine


@pytest.fixture
def tutorial_machine():
    """For whoever follows luafcgid2-tutorial(7)."""
    with boot_new("tutorial") as machine:
        yield machine


@pytest.fixture(scope="module")
def root_tree():
    """Debian's smallest system: no systemd, no sudo, nothing to build with."""
    tree = Tree(os.path.join(TREES, "bare"))
    shutil.copy("/etc/resolv.conf", tree.path("/etc/resolv.conf"))
    tree.run("rm -rf /var/lib/apt/lists/* && mount -t proc proc /proc")
    yield tree
    tree.run("umount /proc")
