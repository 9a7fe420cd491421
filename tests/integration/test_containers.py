"""Containers: unshare(2) is forbidden, and the daemon may be process 1 and heir to the
children of others."""

import ctypes
import os

import pytest

from containers import forbid_unshare, needs_seccomp
from harm import children
from servers import read, wait_until


@pytest.fixture
def confined(daemon):
    d = daemon(preexec_fn=forbid_unshare)
    line = d.wait_log("scripts cannot have a working directory of their own", "warning")
    assert "Operation not permitted" in line.text
    return d


@needs_seccomp
@pytest.mark.parametrize("code, expected", [
    ("return io.open('in.txt'):read('l')", "first"),
    ("for line in io.lines('in.txt') do return line end", "first"),
    ("io.input('in.txt') return io.read('l')", "first"),
    ("io.output('out.txt') io.write('out') io.close() return io.open('out.txt'):read('a')",
     "out"),
    ("os.rename('in.txt', 'new.txt') return io.open('new.txt'):read('l')", "first"),
    ("os.remove('in.txt') return io.open('in.txt') and 'there' or 'gone'", "gone"),
    ("return dofile('part.lua')", "part"),
    ("return loadfile('part.lua')()", "part"),
    ("local p = io.popen('cat in.txt') local t = p:read('l') p:close() return t", "first"),
    ("os.execute('echo ran > by-shell.txt') return io.open('by-shell.txt'):read('l')", "ran"),
    ("return tostring(os.execute())", "true"),
    ("return select(3, os.execute('exit 5'))", "5"),
    ("return package.searchpath('part', './?.txt;;?.lua'):match('[^/]*$')", "part.lua"),
    ("return (select(2, package.searchpath('no.where', './?.txt;?.lua')):gsub('%/tmp[^;]*; %-x/', ''))",
     "\n\tno file './no/where.txt'\n\tno file 'no/where.lua'"),
    ("package.path = './?.lua' return require 'part'", "part"),
    ("return io.open(Dir() .. '/in.txt'):read('l')", "first"),
    ("return tostring(pcall(io.open, {})) .. tostring(pcall(io.lines, 'nowhere'))",
     "falsefalse"),
])
def test_relative_names_are_beside_the_script_where_unshare_is_refused(confined, code, expected):
    """In a directory whose name means something to the shell."""
    name = "it's $HOME; -x"
    confined.site.write(name + "/in.txt", "first\nsecond\n")
    confined.site.write(name + "/part.lua", "return 'part'")
    confined.site.write(name + "/page.lua", "function main() %s end" % code)
    response = confined.get(name + "/page.lua")
    assert (response.status, response.text) == (200, expected)
    assert sorted(set(os.listdir(confined.directory)) - {"log", "s", "stderr", "config.lua"}) == []


@needs_seccomp
def test_refused_unshare_is_told_once(confined):
    for _ in range(3):
        confined.main("return 1")
    assert confined.log().count("scripts cannot have a working directory of their own") == 1


# -- Process 1 --

def become_subreaper():
    """As process 1 is one; it stays so over exec."""
    if ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) != 0:
        raise OSError("PR_SET_CHILD_SUBREAPER")


def zombies(daemon):
    return [pid for pid in children(daemon)
            if "State:\tZ" in read("/proc/%s/status" % pid)]


def test_children_of_children_leave_no_zombies_and_a_scripts_own_keep_their_status(daemon):
    """What a command leaves behind comes to the daemon when the command has ended; what
    io.popen started is awaited by the script alone."""
    d = daemon(preexec_fn=become_subreaper, WorkerThreads=1)
    page = d.script("""
        function main()
            if not kept then kept = io.popen("exit 3") return "" end
            return select(3, kept:close())
        end""")
    d.get(page)
    wait_until(lambda: len(zombies(d)) == 1, "the script's own child to end")
    own = zombies(d)
    d.main("for i = 1, 3 do os.execute('(sleep 0.01; exit 5) & (setsid sleep 0.01) &') end")
    wait_until(lambda: len(zombies(d)) == 7, "orphans to die")
    wait_until(lambda: zombies(d) == own, "the orphans to be taken note of")
    assert d.get(page).text == "3"
    assert zombies(d) == []
