"""Keeps what worked with which web server, and prints it as the table that the README has."""

import pytest

import webservers

RESULTS = {}  # (check, server): what the table says; a check is named by its docstring


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    report = (yield).get_result()
    server = getattr(item, "callspec", None) and item.callspec.params.get("server")
    if server is None or item.function.__doc__ is None or (report.when != "call" and report.passed):
        return
    key = item.function.__doc__, server
    good = dict(report.user_properties).get("table", "yes")
    RESULTS[key] = good if report.passed and RESULTS.get(key) != "NO" else "NO"


def table():
    """A row for each check, a column for each server; "-" where there is no such test."""
    checks = dict.fromkeys(check for check, _ in RESULTS)
    rows = [["", *(server.name for server in webservers.ALL)]]
    rows += [[check, *(RESULTS.get((check, server), "-") for server in webservers.ALL)]
             for check in checks]
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "".join("    %s\n" % "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def pytest_terminal_summary(terminalreporter):
    if RESULTS:
        terminalreporter.section("interoperability")
        terminalreporter.write_line(
            ", ".join(server.full_version() for server in webservers.ALL))
        terminalreporter.write(table())


@pytest.fixture(name="table")
def table_fixture():
    return table()
