"""README's table "What a page needs": every function is there, and every page shows it."""

import os
import re

import pytest

import servers

EXAMPLES = os.path.join(servers.ROOT, "scripts/examples")


def table():
    """The rows: need, functions, peer in PHP, page."""
    readme = servers.read(os.path.join(servers.ROOT, "README"))
    chapter = re.search(r"^What a page needs\n-+\n(.*?)^-{3}", readme, re.M | re.S).group(1)
    lines = re.findall(r"^ {4}(\S.*)$", chapter, re.M)
    assert re.split(r" {2,}", lines[0]) == ["need", "here", "in PHP", "shown by"]
    return [re.split(r" {2,}", line) for line in lines[1:]]


ROWS = table()


def test_the_table_has_what_the_usual_page_needs():
    needs = [row[0] for row in ROWS]
    assert len(needs) == len(set(needs))
    assert {"a form", "an upload", "a template", "a download",
            "a login", "JSON to read", "a redirect", "a cookie",
            "a live page", "a counter for all"} <= set(needs)


def functions():
    """Those of the manual that a page needs."""
    manual = servers.read(os.path.join(servers.ROOT, "etc/man/luafcgid2-lua.3"))
    names = re.findall(r"^\.It Fn (\S+)", manual, re.M)
    older = {"lf.parse_pair"}  # lf.parse is enough
    return sorted({name for name in names if re.match(r"(lf|Shared)\.|SetCookie|Redirect|SendFile", name)} - older)


@pytest.mark.parametrize("name", functions())
def test_the_sample_site_shows_a_function(name):
    pages = [servers.read(os.path.join(EXAMPLES, page)) for page in os.listdir(EXAMPLES) if page.endswith(".lua")]
    assert any(re.search(r"\b%s\b" % re.escape(name), text) for text in pages), name


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_row_names_what_there_is(web, row):
    need, functions, peer, page = row  # none is missing
    source = servers.read(os.path.join(EXAMPLES, page))
    for name in functions.split(", "):
        assert web.value(name) != "nil", "%s: there is no %s" % (need, name)
        assert re.search(r"\b%s\b" % re.escape(name), source), \
            "%s: %s does not show %s" % (need, page, name)
    assert peer
    assert '"%s"' % page in servers.read(os.path.join(EXAMPLES, "lib/pages.lua"))
