"""OnStateStart and OnStateStop: functions around the life of a state."""

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
