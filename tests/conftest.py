"""Fixtures shared by every directory of tests.

    site     a temporary document root
    daemon   a factory: daemon(WorkerThreads=1) starts a daemon that ends with the test;
             warns="pattern" when its configuration is one to be warned about
    web      the daemon that all tests of a module share, with a site for this test; a
             module says in DAEMON = {...} what its configuration is
    solo     the same with one worker, which checks a state in before it takes the next
             request: what follows one after the other is served by one state
             (both are in a hurry: servers.HASTY)
    nginx    a factory: nginx(daemon, keepalive=8)
    browser  a real one, headless (webdriver.py)
    scratch  a factory of temporary directories with short names

Whatever the test, its daemon must end with status 0, an empty standard error, and a log
without errors, other than those which the test says it expects.
"""

import os
import shutil
import tempfile

import pytest

import servers
import webdriver


def pytest_report_header():
    return "daemon: %s%s" % (
        os.path.relpath(servers.BINARY),
        ", with the %s sanitizer" % servers.SANITIZER if servers.SANITIZER else "")


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "not_under(*sanitizers, reason): left out where the daemon was built with one")
    config.addinivalue_line(
        "markers", "alone: measures time, memory or a load; scripts/test.sh runs it by itself")


def pytest_collection_modifyitems(config, items):
    """What a sanitizer makes meaningless is not collected, and so counted as deselected."""
    out = [item for item in items
           if any(servers.SANITIZER in mark.args for mark in item.iter_markers("not_under"))]
    if out:
        config.hook.pytest_deselected(items=out)
        items[:] = [item for item in items if item not in out]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows what the daemons that it used have logged. CI has what tests need:
    one that is left out there has failed."""
    report = (yield).get_result()
    if report.skipped and os.environ.get("CI") == "true" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = "left out, though CI must be able to do it: %s" % (call.excinfo.value,)
    if report.failed:
        for daemon in getattr(item, "daemons", []):
            report.sections.append((
                "log of the daemon (last lines)",
                "\n".join((daemon.stderr() + daemon.log()[daemon.mark:]).split("\n")[-40:])))


def start(node, directory, site, options):
    """Starts a daemon; `node` is the test that shows its log, should it fail."""
    own = {name: options.pop(name) for name in ("wait", "arguments", "cwd", "preexec_fn")
           if name in options}
    warns = options.pop("warns", None)
    binary = options.pop("binary", servers.BINARY)
    daemon = servers.Daemon(directory, site, **options)
    daemon.binary = binary
    daemon.warns = warns
    node.daemons = getattr(node, "daemons", []) + [daemon]
    address = options.get("Listen") or options.get("listen")
    if isinstance(address, str) and address.startswith("127.0.0.1:"):
        daemon.address = ("127.0.0.1", int(address.rpartition(":")[2]))
    elif isinstance(address, str) and address.startswith("/"):
        daemon.address = address
    daemon.start(**own)
    return daemon


def directories():
    """A factory of directories, which are removed at the end."""
    made = []

    def make():
        made.append(tempfile.mkdtemp(prefix="lf2-"))
        os.chmod(made[-1], 0o755)
        return made[-1]
    yield make
    for directory in made:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="module")
def module_scratch():
    yield from directories()


@pytest.fixture
def scratch():
    yield from directories()


@pytest.fixture
def site(scratch):
    return servers.Site(os.path.join(scratch(), "www"))


@pytest.fixture
def daemon(request, scratch, site):
    started = []

    def make(**options):
        started.append(start(request.node, scratch(), site, options))
        return started[-1]
    yield make
    problems = []
    for one in reversed(started):
        try:
            one.stop()
        except AssertionError as problem:
            problems.append(problem)
    if problems:
        raise problems[0]


@pytest.fixture(scope="module")
def module_daemons(request, module_scratch):
    """Daemons by name, for a module; one that a test has killed is started again."""
    running = {}

    def get(name, node, site, **options):
        if name not in running or not running[name].running():
            options = {"binary": servers.HASTY, **getattr(request.module, "DAEMON", {}), **options}
            running[name] = start(node, module_scratch(), site, options)
            running[name].idle_threads()
        node.daemons = getattr(node, "daemons", []) + [running[name]]
        return running[name]
    yield get
    for daemon in running.values():
        daemon.mark = len(daemon.log())  # each test has looked at its own part
        daemon.stop()


def borrow(daemon, site):
    """A shared daemon for one test."""
    servers.wait_until(lambda: not daemon.left_open(), "the states of earlier tests to be closed")
    daemon.begin_test(site)
    yield daemon
    assert daemon.running(), "the daemon ended with status %s: %s" % (
        daemon.process.returncode, daemon.stderr())
    daemon.check_log()


@pytest.fixture
def web(request, module_daemons, site):
    yield from borrow(module_daemons("web", request.node, site), site)


@pytest.fixture
def solo(request, module_daemons, site):
    yield from borrow(module_daemons("solo", request.node, site, WorkerThreads=1), site)


@pytest.fixture
def nginx(scratch):
    started = []

    def make(daemon, site=None, **options):
        started.append(servers.Nginx(scratch(), daemon, site or daemon.site, **options))
        return started[-1].start()
    yield make
    for one in reversed(started):
        one.stop()


@pytest.fixture
def browser(scratch):
    assert webdriver.CHROMIUM and webdriver.DRIVER, (
        "needs the packages chromium and chromium-driver")
    driver = webdriver.WebDriver(scratch())
    yield driver
    driver.quit()
