"""A release that is switched by a link: `current` leads to releases/1, then to releases/2,
whose scripts may be the very same while everything else in the directory is not."""

import os
import shutil
import signal

import pytest

import servers
from servers import wait_until

DAEMON = {"WorkerThreads": 3}

PAGE = """
at_load = io.open("version.txt"):read("l")
function main() return at_load .. " " .. io.open("version.txt"):read("l") end
"""


@pytest.fixture
def releases(site):
    """Puts releases 1 and 2 in place, and returns how `current` is switched to one."""
    for number in "12":
        site.write("releases/%s/page.lua" % number, PAGE, mtime=10 ** 18)
        site.write("releases/%s/version.txt" % number, number)

    def switch(number):
        os.symlink("releases/%s" % number, site.path("next"))
        os.rename(site.path("next"), site.path("current"))
    switch(1)
    return switch




def test_release_switched_by_a_link_is_the_working_directory_of_every_worker(web, releases):
    for page in range(6):  # all workers have been there
        assert web.get("current/page.lua").text == "1 1"
    releases(2)
    wait_until(lambda: web.get("current/page.lua").text == "2 2", "the new release")
    assert {web.get("current/page.lua").text for _ in range(20)} == {"2 2"}


def test_release_that_is_deleted_after_the_switch_is_not_missed(web, site, releases):
    assert {web.get("current/page.lua").text for _ in range(6)} == {"1 1"}
    releases(2)
    shutil.rmtree(site.path("releases/1"))
    web.any_errors = True  # until the sweep, the scripts are in a directory that is gone
    wait_until(lambda: web.get("current/page.lua").text == "2 2", "the new release")
    assert {web.get("current/page.lua").text for _ in range(20)} == {"2 2"}


def test_directory_replaced_by_another_of_its_name_is_entered(web, site):
    site.write("app/page.lua", PAGE, mtime=10 ** 18)
    site.write("app/version.txt", "old")
    site.write("other/page.lua", PAGE, mtime=10 ** 18)
    site.write("other/version.txt", "new")
    assert {web.get("app/page.lua").text for _ in range(6)} == {"old old"}
    os.rename(site.path("app"), site.path("away"))
    os.rename(site.path("other"), site.path("app"))
    wait_until(lambda: web.get("app/page.lua").text == "new new", "the new directory")
    assert {web.get("app/page.lua").text for _ in range(20)} == {"new new"}


def test_script_root_through_a_link_follows_it(daemon, site, releases):
    d = daemon(ScriptRoot=site.path("current"), WorkerThreads=2)
    assert d.get("current/page.lua").text == "1 1"
    releases(2)
    wait_until(lambda: d.get("current/page.lua").text == "2 2", "the new release")
    site.write("releases/2/other.lua", "function main() return 'other' end")
    assert d.get("current/other.lua").text == "other"
    assert d.get("releases/1/page.lua").status == 403


def test_modules_of_the_same_content_come_from_the_new_release(web, site, releases):
    for number in "12":
        site.write("releases/%s/mod.lua" % number,
                   "return {version = io.open(debug.getinfo(1, 'S').source:match('@(.*)/') "
                   ".. '/version.txt'):read('l')}", mtime=10 ** 18)
        site.write("releases/%s/uses.lua" % number,
                   "function main() return require('mod').version end", mtime=10 ** 18)
    assert web.get("current/uses.lua").text == "1"
    releases(2)
    wait_until(lambda: web.get("current/uses.lua").text == "2", "the new release")


def test_reload_reads_the_configuration_through_its_link(scratch, site):
    directory = scratch()
    d = servers.Daemon(directory, site)
    for number in "12":
        os.mkdir(os.path.join(directory, number))
        d.config_path = os.path.join(directory, number, "config.lua")
        d.write_config(Config={"release": number})
    os.symlink("1", os.path.join(directory, "current"))
    d.config_path = os.path.join(directory, "current/config.lua")
    d.start(arguments=["-c", "current/config.lua"])
    try:
        page = d.script("function main() return Config.release end")
        assert d.get(page).text == "1"
        os.remove(os.path.join(directory, "current"))
        os.symlink("2", os.path.join(directory, "current"))
        d.signal(signal.SIGHUP)
        wait_until(lambda: d.get(page).text == "2", "the new configuration")
    finally:
        d.stop()
