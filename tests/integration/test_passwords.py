"""lf.password_hash and lf.password_verify: slow, and in nobody's way."""

import threading

from servers import PATIENCE

DAEMON = {"WorkerThreads": 1}
LOGIN = 'function main() local h = lf.password_hash("engine") ' \
        'Send(tostring(lf.password_verify("engine", h)), " ", ' \
        'tostring(lf.password_verify("Engine", h))) end'
LOGINS = 12


def test_a_page_need_not_wait_for_logins(web):
    login, hello = web.script(LOGIN), web.script("function main() return 'hello' end")
    assert web.get(login).text == "true false"
    done = []

    def log_in():
        assert web.get(login).text == "true false"
        done.append("login")
    logins = [threading.Thread(target=log_in) for _ in range(LOGINS)]
    for thread in logins:
        thread.start()
    assert web.get(hello).text == "hello"
    done.append("hello")
    for thread in logins:
        thread.join(PATIENCE)
    assert len(done) == LOGINS + 1
    assert done[-1] == "login", done


def test_a_hash_can_be_made_wherever_lua_runs(web):
    page = web.script("""
local hash = lf.password_hash("at load")
function main()
    local results = {}
    local function check(s)
        results[#results + 1] = tostring(lf.password_verify(s, hash))
    end
    check("at load")
    pcall(check, "at Load")
    coroutine.wrap(check)("at load")
    string.gsub("x", "x", function() check("at load") end)
    for _ in pairs(setmetatable({}, {__pairs = function(t) check("") return next, t end})) do end
    return table.concat(results, " ")
end""")
    for _ in range(2):
        assert web.get(page).text == "true false true true false"


def test_a_client_that_leaves_a_login_harms_nobody(web):
    login = web.script(LOGIN)
    connections = [web.open(login, method="GET") for _ in range(4)]
    for connection in connections:
        connection.close()
    assert web.get(login).text == "true false"
