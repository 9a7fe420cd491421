"""What visitors must not fetch is refused by the configuration that etc/ has."""

import os

import pytest

import webservers
from test_interop import server  # noqa: F401  pylint: disable=unused-import

SECRETS = ["lib/module.txt", ".htpasswd", "sub/.git/config", "visits.db", "visits.DB",
           "visits.db-wal", "a.sqlite", "a.sqlite3", "a.sqlite3-journal"]
SCRIPTS = [".hidden.lua", "sub/.git/hook.lua", "lib/tool.lua"]
SPELLINGS = ["//lib/tool.lua", "/%6cib/tool.lua", "/%2e/lib/tool.lua",
             "/x/%2e%2e/lib/tool.lua", "/%2ehidden.lua", "/sub/%2egit/hook.lua",
             "//lib/module.txt", "/lib%2fmodule.txt", "/visits%2edb", "/visits.d%62"]
VISIBLE = ["plain.txt", "library.txt", ".well-known/acme.txt"]


def on(wanted):
    """Marks a test of these web servers only."""
    return pytest.mark.parametrize(
        "server", [web for web in webservers.ALL if wanted(web.name)],
        ids=lambda web: web.name, indirect=True, scope="module")


on_web_servers = on(lambda name: name != "cgi-fcgi")  # it asks for what it is told to
on_file_servers = on(lambda name: name not in ("HAProxy", "cgi-fcgi"))


@pytest.mark.parametrize("name", SECRETS)
def test_secret_is_refused(server, name):  # noqa: F811
    put(server, name)
    answer = server.request("/" + name)
    assert answer.status in (403, 404) and b"secret" not in answer.body, answer


@on_web_servers
@pytest.mark.parametrize("name", SCRIPTS)
def test_hidden_script_is_not_run(server, name):  # noqa: F811
    put(server, name)  # to run it would be a 500
    answer = server.request("/" + name)
    assert answer.status in (403, 404) and b"secret" not in answer.body, answer


@on_web_servers
@pytest.mark.parametrize("path", SPELLINGS)
def test_no_other_spelling_leads_to_it(server, path):  # noqa: F811
    for name in SECRETS + SCRIPTS:
        put(server, name)
    answer = server.request(path)
    assert 400 <= answer.status < 500 and b"secret" not in answer.body, answer


@on_file_servers
@pytest.mark.parametrize("name", VISIBLE)
def test_other_files_are_served(server, name):  # noqa: F811
    put(server, name)
    answer = server.request("/" + name)
    assert (answer.status, answer.body) == (200, b"secret"), answer


def put(web, name):
    path = os.path.join(web.daemon.site.root, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(b"secret")
    os.chmod(path, 0o644)
