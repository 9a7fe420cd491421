"""The sweeper: edits show up by themselves, and nothing else does."""

import os
import subprocess
import threading
import time

import pytest

import servers
from servers import lua, wait_until

DAEMON = {"WorkerThreads": 1}


def page(text):
    """A script that says `text`, and which request of its state this is."""
    return "function main() n = (n or 0) + 1 Send(%s, ' ', n) end" % lua(text)


def shows(daemon, name, text, **params):
    """Waits until the script says `text`, and returns its count."""
    def look():
        said = daemon.get(name, **params).text
        return said if said.startswith(text + " ") else None
    return int(wait_until(look, "%s to say %r" % (name, text)).split()[-1])


def let_it_look(daemon):
    """Returns when the sweeper has looked at every file from beginning to end at least
    once since the call. One edit may be seen by a round that had begun before."""
    for i in range(2):
        name = "sentinel.lua"
        daemon.site.write(name, page("before"))
        shows(daemon, name, "before")
        daemon.site.write(name, page("after"))
        shows(daemon, name, "after")


@pytest.fixture
def old(web):
    """A served script page.lua."""
    web.site.write("page.lua", page("old"))
    assert web.get("page.lua").text == "old 1"
    return web.site.path("page.lua")


# -- edits that are seen --

def rename_over(site, path):
    site.write("page.lua", page("new"))


def write_in_place(site, path):
    site.overwrite("page.lua", page("new"))


def longer(site, path):
    site.overwrite("page.lua", page("new") + "\n-- and a comment")


def shorter(site, path):
    site.overwrite("page.lua", "function main() return 'new 1' end")


def same_size_and_same_times(site, path):
    """As rsync --inplace --times could leave it: only the time of change differs."""
    before = os.stat(path)
    site.overwrite("page.lua", page("new"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert os.stat(path).st_size == before.st_size


def older_file_renamed_over(site, path):
    site.write("page.lua", page("new"), mtime=10 ** 18)


def same_size_and_times_renamed_over(site, path):
    site.write("page.lua", page("new"), mtime=os.stat(path).st_mtime_ns)


def deleted_and_written_again(site, path):
    os.remove(path)
    site.write("page.lua", page("new"))


def link_to_another_file(site, path):
    site.write("other.lua", page("new"))
    os.symlink("other.lua", path + ".link")
    os.rename(path + ".link", path)


EDITS = [rename_over, write_in_place, longer, shorter, same_size_and_same_times,
         older_file_renamed_over, same_size_and_times_renamed_over, deleted_and_written_again,
         link_to_another_file]


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.__name__)
def test_edit_is_seen(web, old, edit):
    edit(web.site, old)
    shows(web, "page.lua", "new")


def test_many_edits_in_one_second_are_all_seen(web, old):
    for i in range(10):
        web.site.overwrite("page.lua", page("v%02d" % i))
        shows(web, "page.lua", "v%02d" % i)


def test_edit_right_after_an_edit_is_seen(web, old):
    """Same size, and perhaps within one tick of the file system's clock."""
    for i in range(50):
        web.site.overwrite("page.lua", page("v%02d" % i))
    shows(web, "page.lua", "v49")


def test_edit_and_back_again_is_seen(web, old):
    for text in ("new", "old", "new", "old"):
        web.site.write("page.lua", page(text))
        shows(web, "page.lua", text)


def test_switched_directory_link_is_seen(web):
    """The way many sites are deployed: current -> releases/2."""
    for release in "12":
        web.site.write("releases/%s/page.lua" % release, page("release " + release))
    os.symlink("releases/1", web.site.path("current"))
    shows(web, "current/page.lua", "release 1")
    os.symlink("releases/2", web.site.path("next"))
    os.rename(web.site.path("next"), web.site.path("current"))
    shows(web, "current/page.lua", "release 2")


def test_deleted_script_is_gone_and_comes_back(web, old):
    web.any_errors = True
    os.remove(old)
    wait_until(lambda: web.get("page.lua").status == 404, "the script to be gone")
    web.site.write("page.lua", page("back"))
    assert shows(web, "page.lua", "back") <= 2


def test_broken_edit_and_its_repair_are_seen(web, old):
    web.site.write("page.lua", "function main( return 'broken' end")
    wait_until(lambda: web.get("page.lua").status == 500, "the broken script")
    for _ in range(3):
        assert web.get("page.lua").status == 500
    web.site.write("page.lua", page("mended"))
    shows(web, "page.lua", "mended")
    web.expect_error(r"page\.lua:1:")


def test_script_that_failed_to_load_is_loaded_again_once_mended(web):
    web.site.write("page.lua", "error('at load')")
    assert web.get("page.lua").status == 500
    web.site.write("page.lua", page("mended"))
    shows(web, "page.lua", "mended")
    web.expect_error("at load")


# -- what is not an edit --

def touch(site, path):
    os.utime(path)


def touch_into_the_past(site, path):
    os.utime(path, (0, 0))


def same_content_in_place(site, path):
    site.overwrite("page.lua", page("old"))


def same_content_renamed_over(site, path):
    site.write("page.lua", page("old"))


def other_mode(site, path):
    os.chmod(path, 0o600)


NO_EDITS = [touch, touch_into_the_past, same_content_in_place, same_content_renamed_over,
            other_mode]


@pytest.mark.parametrize("edit", NO_EDITS, ids=lambda edit: edit.__name__)
def test_unchanged_content_is_not_loaded_again(web, old, edit):
    edit(web.site, old)
    let_it_look(web)
    assert web.get("page.lua").text == "old 2"


@pytest.mark.parametrize("edit", [touch, same_content_renamed_over],
                         ids=lambda edit: edit.__name__)
def test_without_checksum_a_touched_file_is_loaded_again(daemon, edit):
    d = daemon(UseFileChecksum=False, WorkerThreads=1)
    path = d.site.write("page.lua", page("old"))
    assert [d.get("page.lua").text for _ in range(3)] == ["old 1", "old 2", "old 3"]
    let_it_look(d)
    count = shows(d, "page.lua", "old")
    edit(d.site, path)
    wait_until(lambda: int(d.get("page.lua").text.split()[1]) <= count, "a fresh state")


def test_states_stay_when_another_script_is_edited(web, old):
    let_it_look(web)
    assert web.get("page.lua").text == "old 2"


# -- the same with files that are not new any more --

@pytest.fixture(scope="module")
def aged(request, module_daemons, module_scratch):
    """A daemon, and a site for each edit, whose script is so old that its times alone tell
    whether it has changed: a clock of two seconds' steps would have moved on."""
    sites = {edit: servers.Site(os.path.join(module_scratch(), "www"))
             for edit in EDITS + NO_EDITS}
    daemon = module_daemons("aged", request.node, sites[touch])
    daemon.begin_test(sites[touch])
    for site in sites.values():
        path = site.write("page.lua", page("old"))
        assert daemon.get("page.lua", site=site).text == "old 1"
    wait_until(lambda: time.time() > os.stat(path).st_ctime + 3, "the files to grow old")
    let_it_look(daemon)
    yield daemon, sites
    daemon.check_log()


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.__name__)
def test_edit_of_an_old_file_is_seen(aged, edit):
    daemon, sites = aged
    edit(sites[edit], sites[edit].path("page.lua"))
    shows(daemon, "page.lua", "new", site=sites[edit])


@pytest.mark.parametrize("edit", NO_EDITS, ids=lambda edit: edit.__name__)
def test_unchanged_content_of_an_old_file_is_not_loaded_again(aged, edit):
    daemon, sites = aged
    edit(sites[edit], sites[edit].path("page.lua"))
    let_it_look(daemon)
    assert daemon.get("page.lua", site=sites[edit]).text == "old 2"


# -- what else a script is made of --

USES = {  # how a script uses part.lua
    "require": "local part = require 'part' function main() return part() end",
    "require while serving": "function main() return require 'part'() end",
    "require by a module": "local m = require 'middle' function main() return m() end",
    "dofile": "local part = dofile 'part.lua' function main() return part() end",
    "dofile with a path": "local part = dofile(Dir() .. '/part.lua') "
                          "function main() return part() end",
    "loadfile": "local part = loadfile 'part.lua' () function main() return part() end",
    "loadfile with an environment": "local part = loadfile('part.lua', 't', {n = 0})() "
                                    "function main() return part() end",
}
PART = "return function() n = (n or 0) + 1 return %s .. ' ' .. n end"


@pytest.mark.parametrize("use", USES.values(), ids=USES.keys())
def test_edited_part_of_a_script_renews_it(web, use):
    web.site.write("middle.lua", "return require 'part'")
    web.site.write("part.lua", PART % "'old'")
    web.site.write("page.lua", use)
    assert [web.get("page.lua").text for _ in range(2)] == ["old 1", "old 2"]
    os.utime(web.site.path("part.lua"))
    let_it_look(web)
    assert web.get("page.lua").text == "old 3"
    web.site.write("part.lua", PART % "'new'")
    shows(web, "page.lua", "new")


def test_edited_module_renews_only_the_scripts_that_use_it(web):
    web.site.write("mod.lua", "return 'old'")
    web.site.write("user.lua", "local m = require 'mod' function main() return m end")
    web.site.write("other.lua", page("other"))
    assert (web.get("user.lua").text, web.get("other.lua").text) == ("old", "other 1")
    web.site.write("mod.lua", "return 'new'")
    wait_until(lambda: web.get("user.lua").text == "new", "the new module")
    assert web.get("other.lua").text == "other 2"


def test_missing_module_is_an_error_until_it_is_there(web):
    web.site.write("page.lua", "local m = require 'late' function main() return m end")
    assert web.get("page.lua").status == 500
    web.site.write("late.lua", "return 'here'")
    wait_until(lambda: web.get("page.lua").text == "here", "the module")
    os.remove(web.site.path("late.lua"))
    wait_until(lambda: web.get("page.lua").status == 500, "the module to be gone")
    web.expect_error("module 'late' not found")


def test_broken_module_and_its_repair_are_seen(web):
    web.site.write("mod.lua", "return 'good'")
    web.site.write("page.lua", "local m = require 'mod' function main() return m end")
    assert web.get("page.lua").text == "good"
    web.site.write("mod.lua", "return +")
    wait_until(lambda: web.get("page.lua").status == 500, "the broken module")
    web.site.write("mod.lua", "return 'mended'")
    wait_until(lambda: web.get("page.lua").text == "mended", "the mended module")
    web.expect_error(r"mod\.lua:1:")


def test_edited_startup_script_renews_every_script(daemon, site):
    startup = site.write("startup.lua", "greeting = 'old'")
    d = daemon(StartupScript=startup)
    pages = [d.script("local g = greeting function main() return g end") for _ in range(3)]
    assert [d.get(p).text for p in pages] == ["old"] * 3
    site.write("startup.lua", "greeting = 'new'")
    for p in pages:
        wait_until(lambda: d.get(p).text == "new", "the new greeting")


# -- edits and requests at once --

def test_busy_state_finishes_with_what_it_began(daemon):
    web = daemon(WorkerThreads=2)
    source = "function main() n = (n or 0) + 1 Flush() Receive() return '%s ' .. n end"
    web.site.write("page.lua", source % "old")
    held = web.hold("page.lua")
    web.site.write("page.lua", source % "new")
    let_it_look(web)
    assert held.end().response().raw == b"old 1"
    assert web.request("page.lua").text == "new 1"


def test_idle_states_of_an_old_version_go_at_once(daemon):
    """Nobody has to ask for the script."""
    d = daemon(WorkerThreads=4)
    observer = d.script("function main() return ThreadData()[Env.X_PAGE] or 0 end")
    path = d.site.write("page.lua", "function main() Flush() Receive() end")

    def states():
        return int(d.get(observer, X_PAGE=path).text)
    for c in [d.hold("page.lua") for _ in range(3)]:
        c.end().response()
    assert states() == 3
    d.site.write("page.lua", "function main() end")
    wait_until(lambda: states() == 0, "the idle states to go")


def replace(site, name, text):
    site.write(name, text)


def copy_over(site, name, text):
    """As cp, and editors that keep the inode: the file is empty for a moment. A program of
    its own, as threads of this one would make the moment long."""
    site.write(name + ".draft", text)
    subprocess.run(["cp", site.path(name + ".draft"), site.path(name)], check=True)


@pytest.mark.parametrize("save", [replace, copy_over], ids=lambda save: save.__name__)
@pytest.mark.alone
def test_no_request_fails_while_files_are_edited(daemon, save):
    d = daemon(WorkerThreads=4, MinFileInfoTime=10)
    module, script = "return %d", "local m = require 'mod' function main() return %d .. ' ' .. m end"
    d.site.write("mod.lua", module % 0)
    d.site.write("page.lua", script % 0)
    wrong, done = [], threading.Event()

    def client():
        while not done.is_set():
            response = d.get("page.lua")
            if response.status != 200 or len(response.text.split()) != 2:
                wrong.append(response)
    threads = [threading.Thread(target=client) for _ in range(4)]
    for t in threads:
        t.start()
    try:
        for i in range(1, 41):
            save(d.site, "mod.lua", module % i)
            save(d.site, "page.lua", script % i)
            if i % 4 == 0:
                wait_until(lambda: d.get("page.lua").text == "%d %d" % (i, i), "edit %d" % i)
    finally:
        done.set()
        for t in threads:
            t.join()
    assert not wrong


@pytest.mark.parametrize("name", ["MinFileInfoTime", "sweep"])
def test_period_is_configured(daemon, name):
    """Two daemons on one site, one of them with a long period: it must not have seen what
    the other has."""
    slow, fast = (daemon(**{"MinFileInfoTime": None, name: ms, "WorkerThreads": 1})
                  for ms in (3600000, 20))
    fast.site.write("page.lua", page("old"))
    for d in (slow, fast):
        assert d.get("page.lua").text == "old 1"
    fast.site.write("page.lua", page("new"))
    shows(fast, "page.lua", "new")
    let_it_look(fast)
    assert slow.get("page.lua").text == "old 2"


@pytest.mark.parametrize("depth", [10, 150])
def test_finalizer_of_an_edited_script_has_room_for_deep_calls(web, tmp_path, depth):
    """The sweeper closes idle states: its thread runs Lua too."""
    done = str(tmp_path) + "/done"
    web.site.write("deep.lua", """
        local function nest(n)
            if n == 0 then return "x" end
            return (string.gsub("x", "x", function() return nest(n - 1) end))
        end
        kept = setmetatable({}, {__gc = function()
            nest(%d)
            local f = io.open(%s, "w")
            f:write("done")
            f:close()
        end})
        function main() return "old" end""" % (depth, lua(done)))
    assert web.get("deep.lua").text == "old"
    web.site.write("deep.lua", "function main() return 'new' end")
    wait_until(lambda: os.path.exists(done) and servers.read(done) == "done", "the finalizer")
    wait_until(lambda: web.get("deep.lua").text == "new", "the new version")
