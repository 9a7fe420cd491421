"""OnStateStart and OnStateStop: functions around the life of a state."""

import os
import sqlite3
import subprocess

import pytest

from servers import wait_until

HOOKS = {"OnStateStart": "opened", "OnStateStop": "closed", "WorkerThreads": 1}
PAGE = """
function opened() n = (n or 0) + 1 Log("opened ", n) end
function closed() Log("closed ", n) end
function main() Send(n) end
"""


def test_they_run_once_in_each_state_around_its_life(daemon):
    d = daemon(**HOOKS)
    page = d.script(PAGE)
    assert [d.get(page).text for _ in range(3)] == ["1", "1", "1"]
    assert d.log().count("opened 1") == 1 and "closed" not in d.log()
    d.reload()
    assert d.get(page).text == "1"
    d.wait_log("closed 1")
    d.stop()
    assert d.log().count("opened 1") == d.log().count("closed 1") == 2


def test_a_script_without_them_is_served_as_ever(daemon):
    d = daemon(**HOOKS)
    assert d.get(d.script("function main() return 'x' end")).text == "x"
    d.stop()


def test_an_error_at_the_start_is_one_of_loading(daemon):
    d = daemon(**HOOKS)
    page = d.script("function opened() error('no database') end "
                    "function closed() Log('never') end function main() end")
    assert d.get(page).status == 500
    d.expect_error("no database")
    d.stop()
    assert "never" not in d.log()


def test_an_error_at_the_end_is_logged_and_harms_nobody(daemon):
    d = daemon(**HOOKS)
    page = d.script("function closed() error('will not close') end "
                    "function main() return 'x' end")
    assert d.get(page).text == "x"
    d.any_errors = True
    d.reload()
    line = d.wait_log("will not close", "error")
    assert line.text.startswith("OnStateStop of %s: " % d.site.path(page))
    assert d.get(page).text == "x"


def test_a_loop_at_the_end_is_ended(daemon):
    d = daemon(**HOOKS)
    page = d.script("function closed() while true do pcall(error) end end "
                    "function main() return 'x' end")
    assert d.get(page).text == "x"
    d.any_errors = True
    d.reload()
    d.wait_log("OnStateStop of .*: time limit exceeded", "error")
    wait_until(lambda: d.get(page).text == "x", "an answer")


# -- A database, which is what they are for --

DATABASE = """
local sqlite, env, db = require "luasql.sqlite3"
function opened()
    env = sqlite.sqlite3()
    db = assert(env:connect(%r))
    assert(db:execute "CREATE TABLE IF NOT EXISTS visits (n INTEGER)")
    db:setautocommit(false)
end
function main()
    assert(db:execute "INSERT INTO visits VALUES (1)")
    Send(Info.State)
end
function closed()
    assert(db:commit())
    Log("closed ", tostring(db:close()), " ", tostring(env:close()))
end
"""


@pytest.mark.skipif(subprocess.run(["lua5.3", "-e", "require 'luasql.sqlite3'"], check=False,
                                   stderr=subprocess.DEVNULL).returncode != 0,
                    reason="lua-sql-sqlite3 is not installed")
def test_a_database_is_opened_and_closed_with_each_state(daemon, scratch):
    """What main has not committed is there only if closed has run, once for each state."""
    path = os.path.join(scratch(), "visits.db")
    d = daemon(**HOOKS, LuaMaxRequests=4)
    page = d.script(DATABASE % path)
    for closed in (0, 1):
        assert d.log().count("closed true true") == closed
        answers = [d.get(page) for _ in range(4)]
        assert [a.status for a in answers] == [200] * 4 and len({a.text for a in answers}) == 1
        wait_until(lambda n=closed: d.log().count("closed true true") == n + 1,
                   "the state to be closed")
    assert d.get(page).status == 200
    d.stop()
    assert d.log().count("closed true true") == 3
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT sum(n) FROM visits").fetchall() == [(9,)]
