"""What visitors must not fetch is refused by the configuration that etc/ has."""

import os

import pytest

from test_interop import server  # noqa: F401  pylint: disable=unused-import

SECRETS = ["lib/module.txt", ".htpasswd", "sub/.git/config", "visits.db", "visits.DB",
           "visits.db-wal", "a.sqlite", "a.sqlite3", "a.sqlite3-journal"]
SCRIPTS = [".hidden.lua", "sub/.git/hook.lua", "lib/tool.lua"]
VISIBLE = ["plain.txt", "library.txt", ".well-known/acme.txt"]


@pytest.mark.parametrize("name", SECRETS)
def test_secret_is_refused(server, name):  # noqa: F811
    put(server, name)
    answer = server.request("/" + name)
    assert answer.status in (403, 404) and b"secret" not in answer.body, answer


@pytest.mark.parametrize("name", SCRIPTS)
def test_hidden_script_is_not_run(server, name):  # noqa: F811
    if server.name == "cgi-fcgi":
        pytest.skip("it asks for what it is told to")
    put(server, name)  # to run it would be a 500
    answer = server.request("/" + name)
    assert answer.status in (403, 404) and b"secret" not in answer.body, answer


@pytest.mark.parametrize("name", VISIBLE)
def test_other_files_are_served(server, name):  # noqa: F811
    if server.name in ("HAProxy", "cgi-fcgi"):
        pytest.skip("it serves no files")
    put(server, name)
    answer = server.request("/" + name)
    assert (answer.status, answer.body) == (200, b"secret"), answer


def put(web, name):
    path = os.path.join(web.daemon.site.root, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(b"secret")
    os.chmod(path, 0o644)
