"""php-fpm beside the daemon, for tests that compare the two."""

import contextlib
import shutil
import subprocess

import pytest

import fastcgi
import servers

CONFIGURATION = """[global]
error_log = %(directory)s/log
[www]
listen = %(directory)s/socket
pm = static
pm.max_children = %(children)d
pm.status_path = /status
user = root
group = root
"""


@contextlib.contextmanager
def status(directory, site, children=1):
    """Starts one, or skips the test where there is none. Gives a function that asks for its
    status with a query, and returns None as long as it does not answer."""
    php = next((path for path in map(shutil.which, (
        "php-fpm", "/usr/sbin/php-fpm8.2", "/usr/sbin/php-fpm8.4")) if path), None)
    if php is None:
        pytest.skip("no php-fpm here")
    with open(directory + "/fpm.conf", "w", encoding="ascii") as f:
        f.write(CONFIGURATION % {"directory": directory, "children": children})
    process = subprocess.Popen([php, "-R", "-F", "-y", directory + "/fpm.conf"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def ask(query):
        try:
            return fastcgi.request(directory + "/socket", site.params(
                "/status", query=query, SCRIPT_FILENAME="/status")).text
        except OSError:
            return None

    try:
        yield ask
    finally:
        process.terminate()
        process.wait(servers.PATIENCE)
