"""Files over 2 GiB, which a 32-bit system opens and writes to only when it is asked for.
The files here have a hole in them and take no room."""

import os

import pytest

from servers import lua, wait_until

LIMIT = 1 << 31


def make_sparse(path, size, end=b""):
    with open(path, "wb") as f:
        f.truncate(size)
        f.seek(size)
        f.write(end)
    if os.stat(path).st_blocks * 512 > 1 << 20:
        os.remove(path)
        pytest.skip("no sparse files in " + os.path.dirname(path))


def tail(path, count):
    with open(path, "rb") as f:
        f.seek(-count, os.SEEK_END)
        return f.read()


def test_log_goes_on_beyond_2_gib(daemon, scratch):
    log = os.path.join(scratch(), "large.log")
    make_sparse(log, LIMIT - 20, b"an earlier line\n")
    d = daemon(LogFilePath=log)
    d.main("Log('beyond the limit')")
    wait_until(lambda: os.path.getsize(log) > LIMIT and b"beyond the limit\n" in tail(log, 2000),
               "the line in the log")
    d.main("Log('and one more')")
    wait_until(lambda: b"and one more\n" in tail(log, 2000), "one more")


def test_script_reads_and_writes_beyond_2_gib(web):
    path = web.site.path("large")
    make_sparse(path, LIMIT + 100, b"the end")
    assert web.main("""
        local f = assert(io.open("large", "r+b"))
        local size = f:seek("end")
        assert(f:seek("set", size - 7))
        local text = f:read("a")
        assert(f:write("more")) assert(f:close())
        return ("%%d %%s" ):format(size, text) """.replace("%%", "%")).text == \
        "%d the end" % (LIMIT + 107)
    assert tail(path, 7) == b"endmore"
    assert web.main("return assert(io.popen('wc -c <large')):read('n') // 1").text == \
        str(LIMIT + 111)


@pytest.mark.parametrize("name", ["large.txt", "large.lua"])
def test_large_file_as_a_script_or_a_module_is_refused_as_what_it_is(web, name):
    make_sparse(web.site.path(name), LIMIT + 100)
    text = web.main("return select(2, loadfile(%s))" % lua(name)).text
    assert "File too large" in text
