"""How a state ends: nothing that it leaves behind holds anybody up."""

import os
import shutil
import time

import pytest

from harm import children, descriptors, lasting_descriptors, threads
from containers import forbid_unshare, needs_seccomp
from servers import PATIENCE, SANITIZER, lua, read, wait_until

SOON = 20 if SANITIZER else 10  # seconds


def close_by_edit(d, page):
    """Returns how long it took until nothing of the script was left, in seconds."""
    began = time.monotonic()
    d.site.write(page, "function main() return 'edited' end")
    wait_until(lambda: d.get(page).text == "edited", "the edited script")
    return began


@pytest.mark.alone
def test_closing_does_not_wait_for_children_that_do_not_read(daemon):
    """Each pipe is full, and more is in the handle's buffer."""
    d = daemon(WorkerThreads=1)
    threads(d)  # all of them have opened what they need
    before = lasting_descriptors(d)
    page = d.script("""
        kept = {}
        for i = 1, 60 do
            local p = io.popen("sleep 1000", "w")
            p:setvbuf("full", 8192)
            p:write(("x"):rep(65536))
            p:write("more")
            kept[i] = p
        end
        function main() return "piped" end""")
    assert d.get(page).text == "piped"
    assert len(children(d)) == 60
    began = close_by_edit(d, page)
    wait_until(lambda: children(d) == [] and descriptors(d) == before, "the children to end")
    assert time.monotonic() - began < SOON


@pytest.mark.alone
def test_closing_does_not_wait_for_a_reader_that_has_stalled(daemon, scratch):
    """Nor for the readers of FIFOs."""
    directory = scratch()
    readers = []
    for i in range(20):
        os.mkfifo("%s/%d" % (directory, i))
        readers.append(os.open("%s/%d" % (directory, i), os.O_RDONLY | os.O_NONBLOCK))
    d = daemon(WorkerThreads=1)
    threads(d)  # all of them have opened what they need
    before = lasting_descriptors(d)
    page = d.script("""
        kept = {}
        for i = 0, 19 do
            local f = assert(io.open(%s .. i, "w"))
            f:setvbuf("full", 8192)
            f:write(("x"):rep(65536))
            f:write("more")
            kept[i] = f
        end
        function main() return "filled" end""" % lua(directory + "/"))
    assert d.get(page).text == "filled"
    began = close_by_edit(d, page)
    wait_until(lambda: descriptors(d) == before, "the FIFOs to be closed")
    assert time.monotonic() - began < SOON
    for reader in readers:
        os.close(reader)


def test_closing_writes_what_a_file_still_holds_back(daemon):
    d = daemon(WorkerThreads=1)
    page = d.script("""
        kept = io.open("%s", "w")
        kept:write("the end")
        function main() return "open" end""" % d.site.path("kept.txt"))
    assert d.get(page).text == "open"
    close_by_edit(d, page)
    wait_until(lambda: open(d.site.path("kept.txt")).read() == "the end", "it to be written",
               PATIENCE)


# -- finalizers --

REMEMBERS = """
    kept = setmetatable({}, {__gc = function()
        local f = assert(io.open("mark.txt", "w"))
        f:write("closed")
        f:close()
    end})
    function main() return "loaded" end"""


def check_marks(d, directories):
    """Each script's finalizer wrote into the script's own directory."""
    pages = [name + "/page.lua" for name in directories]
    for page in pages:
        d.site.write(page, REMEMBERS)
        assert d.get(page).text == "loaded"
    for page in pages:
        close_by_edit(d, page)
    for name in directories:
        mark = d.site.path(name + "/mark.txt")
        wait_until(lambda mark=mark: read(mark) == "closed", "the file of the finalizer")
    assert not os.path.exists(d.directory + "/mark.txt")


def test_finalizers_see_their_scripts_directory_when_the_state_is_closed(daemon):
    check_marks(daemon(WorkerThreads=1), ["one", "two", "three"])


@needs_seccomp
def test_finalizers_see_it_where_unshare_is_refused(daemon):
    d = daemon(WorkerThreads=1, preexec_fn=forbid_unshare)
    check_marks(d, ["one", "two"])


def test_a_finalizer_whose_directory_is_gone_is_in_no_other_scripts(daemon):
    d = daemon(WorkerThreads=1)
    d.site.write("here/data.txt", "of another script")
    for name in ("here", "gone"):
        d.site.write(name + "/page.lua", """
            kept = setmetatable({}, {__gc = function()
                print("%s " .. (io.open("data.txt") and "found" or "missed") .. " it")
            end})
            function main() return "loaded" end""" % name)
        assert d.get(name + "/page.lua").text == "loaded"
    close_by_edit(d, "here/page.lua")
    d.wait_log("here found it")
    shutil.rmtree(d.site.path("gone"))
    d.wait_log("gone missed it")


ENDLESS = {
    "a million coroutines": """
        kept[2] = setmetatable({}, {__gc = function()
            for i = 1, 1000000 do
                coroutine.wrap(function() for j = 1, 1000000 do end end)()
            end
        end})""",
    "a thousand loops": """
        for i = 1, 1000 do
            kept[i] = setmetatable({}, {__gc = function() while true do end end})
        end""",
    "caught errors": """
        for i = 1, 100 do
            kept[i] = setmetatable({}, {__gc = function()
                while true do pcall(function() while true do end end) end
            end})
        end""",
}
# What ends last: the C library's finalizer of a file, made first.
BAD = """
    kept = {io.open("/dev/null")}
    %s
    function main() return "bad" end"""
NOW = 5 if SANITIZER else 0.5  # seconds, of most; the machine may stand still for a moment


@pytest.mark.parametrize("finalizers", ENDLESS.values(), ids=ENDLESS)
@pytest.mark.alone
def test_a_request_does_not_wait_for_the_finalizers_of_what_it_evicts(daemon, finalizers):
    """And these have a second, all together."""
    d = daemon(WorkerThreads=2, LuaTotalStates=2)
    threads(d)
    before = lasting_descriptors(d)
    good = [d.script("function main() return 'good' end") for _ in range(2)]
    bad = d.script(BAD % finalizers)
    took = []
    for _ in range(3):
        assert d.get(bad).text == "bad"
        for page in good:
            began = time.monotonic()
            assert d.get(page).text == "good"
            took.append(time.monotonic() - began)
    assert sorted(took)[3] < NOW and max(took) < PATIENCE, took

    def closed():
        """A bad state may have come back after a good one, which was then evicted first."""
        assert [d.get(page).text for page in good] == ["good"] * 2
        return descriptors(d) == before
    wait_until(closed, "all of them to be closed")
    assert d.running() and "stuck" not in d.log()


@pytest.mark.alone
def test_the_end_does_not_wait_for_finalizers_for_long(daemon):
    d = daemon(WorkerThreads=1, LuaStates=20, LuaMaxStates=20)
    assert d.get(d.script(BAD % ENDLESS["a thousand loops"])).text == "bad"
    began = time.monotonic()
    d.process.terminate()
    assert d.wait() == 0
    assert time.monotonic() - began < 2 + SOON
    assert "the closing of scripts was cut off" in d.log()
