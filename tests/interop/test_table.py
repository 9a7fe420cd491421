"""What the other tests here found, and the README."""

import os

import servers


def test_the_readme_has_the_table(table):
    """Wants all of them to have run before it: the file's name comes last."""
    with open(os.path.join(servers.ROOT, "README"), encoding="utf-8") as f:
        assert table in f.read(), "the README has another table than this:\n" + table
