"""After the tests: a table, as Markdown, of what worked with which web server."""

import pytest

SERVERS, CHECKS, RESULTS = [], [], {}


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    report = (yield).get_result()
    parameters = getattr(item, "callspec", None)
    if parameters is None or "server" not in parameters.params:
        return
    server, check = parameters.params["server"], item.function.__doc__.rstrip(".")
    if server not in SERVERS:
        SERVERS.append(server)
    if check not in CHECKS:
        CHECKS.append(check)
    if report.when == "call" or not report.passed:
        word = {"passed": dict(report.user_properties).get("table", "yes"), "failed": "NO",
                "skipped": "-"}[report.outcome]
        if report.failed or (server, check) not in RESULTS:
            RESULTS[server, check] = word


def pytest_terminal_summary(terminalreporter):
    if not SERVERS:
        return
    terminalreporter.section("interoperability")
    heads = [server.full_version() for server in SERVERS]
    rows = [[""] + heads, ["---"] * (len(heads) + 1)]
    rows += [[check] + [RESULTS.get((server, check), "?") for server in SERVERS]
             for check in CHECKS]
    for row in rows:
        terminalreporter.write_line("| %s |" % " | ".join(row))
