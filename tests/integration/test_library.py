"""What belongs to the whole process, a script has for itself or not at all; and errors of
every kind end in a 500 page."""

import os
import re
import threading

import pytest

from harm import check_page, children, counting, process_state, status_field, unharmed
from servers import lua, read, wait_until

DAEMON = {"RequestTimeout": 20, "Watchdog": 0}


def one(daemon, expression):
    """The value of an expression, with nobody harmed."""
    with unharmed(daemon):
        return daemon.value(expression)


# -- os.exit --

@pytest.mark.parametrize("code", [
    "os.exit()", "os.exit(0)", "os.exit(1, true)", "os.exit(false)", "pcall(os.exit)",
    "while true do pcall(os.exit, 3) end", "xpcall(os.exit, function() while true do end end)",
    "coroutine.wrap(function() os.exit() end)()",
    "coroutine.wrap(function() pcall(os.exit) Send('on') end)() Send('on')",
    "coroutine.resume(coroutine.create(os.exit))",
    "('x'):gsub('.', function() os.exit() end)", "table.sort({1, 2}, os.exit)",
    "setmetatable({}, {__gc = function() os.exit() end}) collectgarbage() os.exit()",
])
def test_os_exit_ends_the_request_and_sends_its_output(solo, code):
    page = counting(solo, "Header('X-A', '1') Send('so far'); %s Send('on')" % code)
    with unharmed(solo):
        response = solo.get(page, "bad")
        assert (response.status, response.text) == (200, "so far")
        assert response.header("X-A") == "1" and response.ended
        assert [solo.get(page).text for _ in range(2)] == ["2", "3"], "the state lives on"


def test_os_exit_after_a_flush_ends_the_response_in_order(solo):
    with unharmed(solo):
        response = solo.main("Send('a') Flush() Send('b') os.exit()")
        assert response.text == "ab" and response.ended


def test_coroutine_that_was_exited_from_is_of_no_consequence(solo):
    page = counting(solo, "pcall(coroutine.resume, co)",
                    "co = coroutine.create(function() while true do pcall(os.exit) end end)")
    with unharmed(solo):
        assert solo.get(page, "bad").text == ""
        assert [solo.get(page).text, solo.get(page, "bad").text] == ["2", "3"]


@pytest.mark.parametrize("code", ["os.exit()", "pcall(os.exit)",
                                  "coroutine.wrap(function() os.exit() end)()"])
def test_os_exit_at_load_is_a_500_page(solo, code):
    with unharmed(solo):
        page = solo.script(code + " function main() return 'never' end")
        for _ in range(2):
            check_page(solo.get(page), 500)
        solo.expect_error("os.exit called while the script was loaded")


# -- random numbers --

def test_random_numbers_are_seeded_from_the_system(daemon):
    """Two states, and two daemons, have different ones."""
    seen = set()
    for _ in range(2):
        d = daemon(WorkerThreads=1)
        seen |= {d.value("math.random(0x7fffffff)") for _ in range(5)}
    assert len(seen) >= 9


def test_random_numbers_of_a_state_are_its_own(solo):
    """What one script seeds and draws does not change another's."""
    code = "if Env.QUERY_STRING == 'seed' then math.randomseed(42) end return math.random(1 << 30)"
    a, b = (solo.script("function main() %s end" % code) for _ in range(2))
    with unharmed(solo):
        first = solo.get(a, "seed").text
        second = solo.get(a).text
        assert solo.get(a, "seed").text == first
        assert solo.get(b, "seed").text == first
        for _ in range(3):
            solo.get(b)
        assert solo.get(a).text == second != first


def test_random_numbers_are_those_that_were_asked_for(solo):
    with unharmed(solo):
        assert solo.main("""
            for i = 1, 2000 do
                local x, d, r, n = math.random(), math.random(6), math.random(-3, 3),
                                   math.random(math.mininteger, math.maxinteger)
                assert(0 <= x and x < 1 and math.type(d) == "integer" and 1 <= d and d <= 6)
                assert(-3 <= r and r <= 3 and math.type(n) == "integer")
                seen = seen or {}
                seen[d] = true
            end
            assert(#seen == 6 and math.random(5, 5) == 5)
            assert(not pcall(math.random, 0) and not pcall(math.random, 2, 1))
            assert(not pcall(math.random, 1, 2, 3) and not pcall(math.random, "x"))
            math.randomseed(1) local a = math.random() math.randomseed(1.0)
            assert(math.random() == a)
            math.randomseed(2) assert(math.random() ~= a)
            return "all in order" """).text == "all in order"


# -- locale --

@pytest.mark.parametrize("arguments", ["'C.UTF-8'", "''", "'de_DE.UTF-8', 'numeric'",
                                       "'C.UTF-8', 'ctype'"])
def test_os_setlocale_changes_nothing(solo, arguments):
    assert one(solo, "os.setlocale(%s) or os.setlocale()" % arguments) == "C"


def test_os_setlocale_reads(solo):
    with unharmed(solo):
        assert solo.main("""
            assert(os.setlocale() == "C" and os.setlocale(nil) == "C")
            assert(os.setlocale(nil, "numeric") == "C" and os.setlocale("C", "all") == "C")
            assert(not pcall(os.setlocale, nil, "nonsense"))
            return tostring(1.5)""").text == "1.5"


# -- standard output --

@pytest.mark.parametrize("code", [
    "print('a line')", "io.write('a line\\n')", "io.write('a ', 'line', '\\n')",
    "io.stdout:write('a ', 'line\\n')", "io.stderr:write('a line\\n')",
    "io.output():write('a line\\n')", "io.write('a '):write('line\\n')",
    "io.write('a ') io.stdout:write('line') print()",
    "print(setmetatable({}, {__tostring = function() return 'a line' end}))",
    "io.write('a line')", "coroutine.wrap(print)('a line')",
], ids=str)
def test_standard_output_is_the_log(solo, code):
    with unharmed(solo):
        name = solo.script("function main() %s Send('page') end" % code)
        response = solo.get(name)
        assert response.text == "page" and not response.stderr
        line = solo.wait_log("a line", "info")
        assert line.text == "a line" and line.script == solo.site.path(name)
    assert solo.stderr() == ""


def test_standard_output_at_load_is_the_log(solo):
    with unharmed(solo):
        solo.run("print('at load') io.write('unfinished') function main() end")
        assert [solo.wait_log(text, "info").text for text in ("at load", "unfinished")] == [
            "at load", "unfinished"]


@pytest.mark.parametrize("text, logged", [
    ("%s%n%x%d", "%s%n%x%d"), ("a\x1b[31mb", "a\\x1b[31mb"), ("a\rb", "a\\rb"), ("a\0b", "a\\0b"),
    ("tab\there", "tab\\there"),
])
def test_standard_output_is_escaped_in_the_log(solo, text, logged):
    with unharmed(solo):
        for function in ("print", "io.write"):
            solo.main("%s('<' .. %s .. '>') return ''" % (function, lua(text)))
        wait_until(lambda: len([line for line in solo.lines() if re.fullmatch(
            r"<.*>", line.text) and line.text[1:-1] in (
                logged, logged.replace("\\0", "\\x00"))]) == 2, "both lines")


def test_several_lines_are_several_lines_of_the_log(solo):
    with unharmed(solo):
        solo.main("io.write('one\\ntwo\\n\\nfour') print(' more') return ''")
        solo.wait_log("four more")
        assert [line.text for line in solo.lines() if line.script][-4:] == [
            "one", "two", "", "four more"]


def test_endless_line_is_cut(solo):
    with unharmed(solo):
        solo.main("for i = 1, 1000 do io.write(('x'):rep(100)) end print() print('end') return ''")
        solo.wait_log("end")
        lines = [line.text for line in solo.lines() if line.script]
        assert max(map(len, lines)) <= 4100


def test_unfinished_line_is_not_continued_by_the_next_request(solo):
    page = solo.script("function main() io.write('line of ', Env.QUERY_STRING) end")
    with unharmed(solo):
        solo.get(page, "a")
        solo.get(page, "b")
        assert [solo.wait_log("line of " + c).text for c in "ab"] == ["line of a", "line of b"]


def test_io_output_to_a_file_is_a_file(solo):
    with unharmed(solo):
        solo.main("io.output('out') io.write('in the file ', 1) io.stdout:write('in the log\\n') "
                  "io.close() io.output(io.stdout) io.write('again\\n') return ''")
        assert read(solo.site.path("out")) == "in the file 1"
        assert solo.wait_log("again").text == "again"
        solo.wait_log("in the log")


@pytest.mark.parametrize("code", ["io.close()", "io.stdout:close()", "io.stderr:close()",
                                  "io.output():close()", "io.stdout:setvbuf('no')",
                                  "io.stdout:seek('set')", "io.stdin:close()"])
def test_standard_files_stay_open(solo, code):
    with unharmed(solo):
        solo.main("pcall(function() %s end) print('still here') return ''" % code)
        solo.wait_log("still here")
        solo.main("print('and here') return ''")
        solo.wait_log("and here")


@pytest.mark.parametrize("code", ["io.read()", "io.read('a')", "io.stdin:read(1)",
                                  "io.lines()()"])
def test_standard_input_is_empty(solo, code):
    assert one(solo, "#(%s or '')" % code) == "0"


# -- source only --

BYTECODE = "string.dump(function() return 'bytecode ran' end)"


@pytest.mark.parametrize("expression", [
    "load(%s)" % BYTECODE, "load(%s, 'x', 'b')" % BYTECODE, "load(%s, 'x', 'bt')" % BYTECODE,
    "load((function() local s = %s return function() local r = s s = nil return r end end)())"
    % BYTECODE, "loadfile('code')", "loadfile('code', 'b')", "loadfile('code', 'bt')",
    "loadfile(Dir() .. '/code')", "select(2, pcall(dofile, 'code')) and nil",
    "package.searchers[2]('code') and nil", "coroutine.wrap(load)(%s)" % BYTECODE,
])
def test_bytecode_is_not_loaded(solo, expression):
    with unharmed(solo):
        response = solo.main("""
            local f = io.open("code", "wb") f:write(%s) f:close()
            f = io.open("code.lua", "wb") f:write(%s) f:close()
            local ok, chunk, message = pcall(function() return %s end)
            Send(tostring(chunk), " ", tostring(message), " ",
                 tostring(pcall(require, "code")))""" % (BYTECODE, BYTECODE, expression))
        assert "bytecode ran" not in response.text and "function" not in response.text
        assert response.text.endswith(" false")


@pytest.mark.parametrize("expression", [
    "load(%s)()" % BYTECODE, "loadstring(%s, 'x', 'bt')()" % BYTECODE, "loadfile('code')()",
    "loadfile('code', 'b')()", "dofile('code')", "require('code')"])
def test_bytecode_is_loaded_where_it_is_allowed(daemon, expression):
    page = """
        local f = io.open("code", "wb") f:write(%s) f:close()
        f = io.open("code.lua", "wb") f:write(%s) f:close()
        return %s""" % (BYTECODE, BYTECODE, expression)
    assert daemon(AllowBytecode=True).main(page).text == "bytecode ran"


def test_file_of_bytecode_is_no_script(solo):
    with unharmed(solo):
        solo.main("local f = io.open('compiled.lua', 'wb') f:write(string.dump(load("
                  "'function main() return 1 end'))) f:close() return ''")
        check_page(solo.get("compiled.lua"), 500)
        solo.expect_error("binary chunk")


def test_source_is_loaded_by_all_of_them(solo):
    solo.site.write("answer.lua", "return 42, ...")
    with unharmed(solo):
        assert solo.main("""
            assert(load("return 42")() == 42 and load("return x", "n", "t", {x = 42})() == 42)
            local parts = {"return ", "42"}
            assert(load(function() return table.remove(parts, 1) end)() == 42)
            assert(loadfile("answer.lua")() == 42 and loadfile("answer.lua", "t")() == 42)
            assert(select(2, loadfile("answer.lua", "t", {})(7)) == 7)
            assert(dofile("answer.lua") == 42 and require("answer") == 42)
            assert(dofile(Dir() .. "/answer.lua") == 42)
            local f, message = load("return +", "=name")
            assert(f == nil and message:find("^name:1:"))
            f, message = loadfile("nothing.lua")
            assert(f == nil and message:find("nothing.lua"))
            assert(not pcall(dofile, "nothing.lua") and not pcall(require, "nothing"))
            assert(type(string.dump(function() end)) == "string")
            return "all in order" """).text == "all in order"


# -- children --

def child_status(daemon, how):
    """What /proc says of a child's shell."""
    command = "cat /proc/self/status; ls -l /proc/self/fd >fds; pwd; umask"
    return daemon.main("local text = (function() %s end)() return text" % (how % lua(command))).text


@pytest.mark.parametrize("how", [
    "local p = io.popen(%s) local s = p:read('a') p:close() return s",
    "os.execute('(' .. %s .. ') >status') local f = io.open('status') "
    "local s = f:read('a') f:close() return s",
    "local p = io.popen('(cat >script; sh script) >status', 'w') p:write(%s) p:close() "
    "local f = io.open('status') local s = f:read('a') f:close() return s",
], ids=["popen", "execute", "popen w"])
def test_child_starts_with_clean_signals_and_no_descriptors(solo, how):
    with unharmed(solo):
        text = child_status(solo, how)
        fields = dict(re.findall(r"(?m)^(Sig\w+):\s*(\w+)", text))
        assert int(fields["SigBlk"], 16) == 0 and int(fields["SigIgn"], 16) == 0
        assert int(fields["SigCgt"], 16) == 0
        assert text.splitlines()[-2] == solo.site.root
        links = re.findall(r"(\d+) -> (.*)", read(solo.site.path("fds")))
        ours = [link for link in links if int(link[0]) > 2 and "/proc/" not in link[1]]
        assert not ours and not [link for link in links if link[1].startswith("socket:")], links


def test_child_gets_no_connection_of_another_request(daemon):
    """While others are served, and by none of them."""
    d = daemon(WorkerThreads=3)
    waiting = d.script("function main() Send('a') Flush() Receive() Send('b') end")
    held = [d.hold(waiting) for _ in range(2)]
    links = d.main("return io.popen('ls -l /proc/self/fd'):read('a')").text
    assert "socket:" not in links and "anon_inode" not in links and links.count(" -> ") <= 4
    for c in held:
        c.end().response()


def test_results_of_children_are_as_ever(solo):
    with unharmed(solo):
        assert solo.main("""
            local ok, how, code = os.execute("exit 3")
            assert(not ok and how == "exit" and code == 3)
            ok, how, code = os.execute("kill -9 $$")
            assert(not ok and how == "signal" and code == 9)
            assert(os.execute("true") and os.execute())
            local p = io.popen("printf 'a\\nb\\n'; exit 4")
            assert(io.type(p) == "file" and p:read() == "a" and p:read("a") == "b\\n")
            ok, how, code = p:close()
            assert(not ok and how == "exit" and code == 4 and io.type(p) == "closed file")
            p = io.popen("cat >written", "w")
            assert(p:write("by a pipe") and p:close())
            p = io.open("written")
            assert(p:read("a") == "by a pipe" and p:close())
            local lines = {}
            for line in io.popen("echo one; echo two"):lines() do lines[#lines + 1] = line end
            assert(#lines == 2 and lines[2] == "two")
            assert(not pcall(io.popen, "true", "rw") and not pcall(io.popen, "true", "x"))
            assert(io.popen("no-such-program 2>/dev/null"):close() == nil)
            collectgarbage()
            return "all in order" """).text == "all in order"


def test_output_of_a_child_is_not_in_the_page(daemon):
    d = daemon(WorkerThreads=1)
    d.any_stderr = True  # it has the daemon's
    assert d.main("os.execute('echo shown; echo complained >&2') return 'page'").text == "page"


@pytest.mark.parametrize("code", [
    "for i = 1, 20 do io.popen('echo x') end", "for i = 1, 20 do io.popen('cat', 'w') end",
    "kept = kept or {} for i = 1, 20 do kept[i] = io.popen('sleep 1000') end os.exit()",
    "io.popen('sleep 1000') error('x')",
], ids=["readers", "writers", "kept", "error"])
def test_children_that_were_forgotten_end_with_their_state(solo, code):
    with unharmed(solo):
        page = counting(solo, code)
        solo.get(page, "bad")
        solo.any_errors = True
        solo.site.write(page, "function main() return 'new' end")
        wait_until(lambda: solo.get(page).text == "new", "the new script")
        wait_until(lambda: not children(solo), "the children to end")


# -- the process --

@pytest.mark.parametrize("code", [
    "os.execute('cd /; umask 0; export CHANGED=1; kill -0 $PPID')",
    "io.popen('cd /; umask 0'):close()", "os.tmpname()",
    "os.setlocale('C.UTF-8')", "io.output('x') io.close() io.output(io.stdout)",
    "io.input('/dev/zero') io.read(1) io.input():close() io.input(io.stdin)",
    "os.rename('a', 'b')", "os.exit()", "package.loadlib('libc.so.6', 'exit')",
    "package.loadlib('libc.so.6', '*')", "io.output():setvbuf('full') print('x')",
    "debug.setmetatable(nil, {__index = function() return 1 end}) local x = nil + 0",
    "for k in pairs(_G) do if k ~= 'Env' then _G[k] = nil end end",
    "string.rep = nil getmetatable('').__index = nil",
    "for k in pairs(debug.getregistry()) do debug.getregistry()[k] = nil end collectgarbage()",
    "debug.setupvalue(math.random, 1, nil) math.random()",
    "local f = coroutine.wrap(print) debug.setupvalue(f, 1, nil) f()",
    "local f = ('x'):gmatch('.') for i = 1, 3 do debug.setupvalue(f, i, 1) end f()",
    "debug.upvaluejoin(math.random, 1, math.randomseed, 1)",
    "local _, exit = debug.getupvalue(os.exit, 1) if exit then exit(3) end",
    "debug.debug()", "debug.setlocal(math.maxinteger, 1, 1)", "debug.setlocal(1 << 32, 1, 1)",
    "debug.getinfo(2, 'f').func()", "coroutine.wrap(debug.getinfo(2, 'f').func)(con, {}, 1)",
    "setmetatable({}, {__gc = debug.getinfo(2, 'f').func}) collectgarbage()",
    "error(setmetatable({}, {__tostring = function() for i = 1, 9 do local level = "
    "debug.getinfo(i, 'fS') if level and level.what == 'C' then pcall(level.func) end end end}))",
    "debug.setmetatable(con, debug.getmetatable(io.stdout)) io.close(con)",
    "debug.setmetatable(con, debug.getmetatable(io.stdout)) con:write('x')",
    "debug.setmetatable(io.stdout, nil) debug.setmetatable(con, {__gc = print})",
    "debug.getmetatable(io.stdout).__gc(con)", "debug.getmetatable(io.stdout).__gc = nil",
    "debug.setuservalue(con, {}) debug.setuservalue(io.stdout, {})",
    "debug.sethook(function() for i = 1, 50 do pcall(debug.setlocal, 2, i, 1) "
    "pcall(debug.setlocal, 2, -i, 1) end end, 'c') Send('x') print('x') ('x'):gsub('x', 'y') "
    "table.sort({3, 2, 1})",
    "table.sort({3, 2, 1}, function() for i = 1, 50 do debug.setlocal(2, i, 1) end end)",
    "('xyz'):gsub('.', function() for i = 1, 50 do debug.setlocal(2, i, 1) end end)",
    "local c = coroutine.create(function() coroutine.yield() end) coroutine.resume(c) "
    "for i = 1, 50 do pcall(debug.setlocal, c, 0, i, 1) end pcall(coroutine.resume, c)",
    "for k in pairs(package.loaded) do package.loaded[k] = nil end",
    "error = nil main = nil", "setmetatable(_G, {__index = error, __newindex = error})",
], ids=str)
def test_process_is_unchanged_by(solo, code):
    with unharmed(solo):
        solo.any_errors = True
        page = counting(solo, code)
        assert solo.get(page).text == "1"
        assert solo.get(page, "bad").status in (200, 500)
        assert solo.get(page).status in (200, 500)
        assert solo.value("os.getenv('CHANGED')") == "nil"


def test_function_that_serves_may_be_kept_and_called_at_any_time(solo):
    """In later requests, when there is none, and in the state's last moments."""
    page = counting(solo, "served = served or debug.getinfo(2, 'f').func "
                    "if not again then again = true pcall(served) again = false end Send(n) "
                    "kept = kept or setmetatable({}, {__gc = function() served() end})")
    with unharmed(solo):
        solo.any_errors = True
        for _ in range(3):
            assert solo.get(page, "bad").status in (200, 500)
        solo.site.write(page, "function main() return 'new' end")
        wait_until(lambda: solo.get(page).text == "new", "the new script")


def test_function_that_loads_is_of_no_use_to_the_script(solo):
    with unharmed(solo):
        assert solo.run("""
            local called = 0
            for i = 1, 20 do
                local level = debug.getinfo(i, "fS")
                if level and level.what == "C" then
                    called = called + 1
                    failed = not pcall(level.func)
                end
            end
            function main() return called .. tostring(failed) end""").text == "1true"


def test_rest_of_debug_works(solo):
    with unharmed(solo):
        assert solo.main("""
            local x, y = 1, 2
            assert(debug.setlocal(1, 3, 7) == "x" and x == 7)
            assert(debug.setlocal(coroutine.running(), 1, 4, 8) == "y" and y == 8)
            local function f() return x end
            assert(debug.setupvalue(f, 1, 9) == "x" and f() == 9)
            assert(debug.getinfo(1, "l").currentline > 1 and debug.traceback("t"):find("^t"))
            local t = debug.setmetatable({}, {__index = {a = 1}})
            assert(t.a == 1 and debug.getmetatable(t).__index.a == 1)
            local c = coroutine.create(function(z) coroutine.yield() return z end)
            coroutine.resume(c, 1)
            assert(debug.getlocal(c, 1, 1) == "z" and debug.setlocal(c, 1, 1, 5) == "z")
            local name, value = debug.getlocal(1, 3)
            assert(name == "x" and value == 9 and debug.getlocal(f, 1) == nil)
            assert(debug.getlocal(function(a, b) end, 2) == "b")
            assert(debug.getlocal(2, 1) == nil, "the daemon's own")
            assert(select(2, coroutine.resume(c)) == 5)
            local lines = 0
            debug.sethook(function(event, line) lines = lines + 1 end, "l")
            x = 1
            x = 2
            debug.sethook()
            assert(lines >= 2 and debug.gethook() == nil)
            return "all in order" """).text == "all in order"


def test_process_is_unchanged_by_many_at_once(daemon):
    d = daemon(WorkerThreads=4, LuaMaxStates=8)
    d.any_errors = d.any_stderr = True
    assert d.main("return 'served'").text == "served"  # so libfcgi has its signal handlers
    before = process_state(d)
    pages = [d.script("function main() %s end" % code) for code in (
        "os.execute('umask 0; cd /')", "os.exit(1)", "math.randomseed(1)", "error()",
        "return io.popen('umask; pwd'):read('a')")]
    results = []

    def client():
        for _ in range(5):
            for page in pages:
                response = d.get(page)
            results.append(response.text)
    clients = [threading.Thread(target=client) for _ in range(4)]
    for c in clients:
        c.start()
    for c in clients:
        c.join()
    umask = before["umask"]
    assert set(results) == {"%04d\n%s\n" % (int(umask), d.site.root)}
    assert process_state(d) == before


# -- errors of every kind --

DEEP = "local function f(n) if n == 0 then %s end return (('x'):gsub('.', function() f(n - 1) " \
       "end)) end f(%d)"
ERRORS = [
    ("nil", "error(nil)", "nil"), ("nothing", "error()", "nil"),
    ("table", "error({})", "table"), ("function", "error(print)", "function"),
    ("coroutine", "error(coroutine.create(print))", "thread"),
    ("userdata", "error(io.stdout)", "file|userdata"), ("con", "error(con)", "userdata"),
    ("boolean", "error(false)", "false|boolean"), ("number", "error(0/0)", "nan"),
    ("long", "error(('x'):rep(1000000))", "xxx"),
    ("bytes", "error('\\1\\255\\n\\27', 0)", r"\\x01\\xff|\\x01"),
    ("NUL", "error('before\\0after')", "before"),
    ("format", "error('%s%n%n%n')", "%s%n%n%n"),
    ("__tostring", "error(setmetatable({}, {__tostring = function() return 'words' end}))",
     "words"),
    ("__tostring fails", "error(setmetatable({}, {__tostring = error}))", "table|error"),
    ("__tostring fails with nil", "error(setmetatable({}, {__tostring = function() error() end}))",
     "table|error"),
    ("__tostring is no function", "error(setmetatable({}, {__tostring = 1}))", "table|call"),
    ("__tostring gives a table", "error(setmetatable({}, {__tostring = function() return {} end}))",
     "table|error"),
    ("__tostring gives nil", "error(setmetatable({}, {__tostring = function() end}))",
     "table|error"),
    ("__tostring gives itself", "local t t = setmetatable({}, {__tostring = function() return t "
                                "end}) error(t)", "table|error"),
    ("__tostring yields", "error(setmetatable({}, {__tostring = coroutine.yield}))",
     "table|yield"),
    ("__tostring exits by error", "local m = {} m.__tostring = function() error(setmetatable({}, "
                                  "m)) end error(setmetatable({}, m))", "table|error|overflow"),
    ("__name", "error(setmetatable({}, {__name = 'My.Type'}))", "My.Type|table"),
    ("__metatable", "error(setmetatable({}, {__metatable = 'no'}))", "table"),
    ("yield", "coroutine.yield()", "yield"), ("yield in pcall", "assert(pcall(coroutine.yield))",
                                              "yield"),
    ("yield in a callback", "('x'):gsub('.', coroutine.yield)", "yield"),
    ("yield in sort", "coroutine.wrap(function() table.sort({1, 2}, coroutine.yield) end)()",
     "yield"),
    ("dead coroutine", "local c = coroutine.wrap(function() end) c() c()", "dead coroutine"),
    ("itself resumed", "assert(coroutine.resume(coroutine.running()))", "non-suspended|cannot"),
    ("recursion", "local function f(a, b, c) return 1 + f(a, b, c) end f()", "stack overflow"),
    ("recursion in C", "local function f() return ('x'):gsub('.', f) end f()", "overflow"),
    ("recursion by pcall", "local function f() assert(pcall(f)) end f()", "overflow"),
    ("recursion by metatable", "local t = {} setmetatable(t, {__index = function(_, k) "
                               "return t[k] end}) return t.x", "overflow"),
    ("190 nested gsubs", DEEP % ("error('at the bottom')", 190), "at the bottom"),
    ("190 nested gsubs in a coroutine", "coroutine.wrap(function() %s end)()" %
     DEEP % ("error('at the bottom')", 150), "at the bottom|overflow"),
    ("1000 nested gsubs", DEEP % ("error('at the bottom')", 1000), "overflow"),
    ("nested coroutines", "local function f() return coroutine.wrap(f)() end f()", "overflow"),
    ("parser", "assert(load('return ' .. ('('):rep(10000)))", "overflow|levels"),
    ("pattern", "('x'):rep(300000):find(('x-'):rep(300000) .. 'y')", "too complex"),
    ("__gc", "setmetatable({}, {__gc = function() error('in gc') end}) collectgarbage()", "in gc"),
    ("__gc with nil", "setmetatable({}, {__gc = function() error() end}) collectgarbage()", "gc"),
    ("xpcall handler fails", "assert(xpcall(error, error))", r"\.lua|nil|error"),
    ("assert", "assert(nil)", "assertion failed"), ("assert false", "assert(false, {})", "table"),
    ("arithmetic", "return 1 // 0", "'n//0'|divide"), ("call of nil", "return nowhere.x()",
                                                       "nowhere"),
    ("bad argument", "Send({})", "string expected"),
    ("con of another", "con.puts({}, 'x')", "con|userdata|luafcgid2"),
    ("unpack", "return table.unpack({}, 1, 1e8)", "too many results"),
]


@pytest.mark.parametrize("code, message", [e[1:] for e in ERRORS], ids=[e[0] for e in ERRORS])
def test_error_is_a_500_page_and_a_log_line(solo, code, message):
    page = counting(solo, code)
    with unharmed(solo):
        assert solo.get(page).text == "1"
        check_page(solo.get(page, "bad"), 500)
        path = re.escape(solo.site.path(page))
        solo.expect_error(" %s: .*(%s)" % (path, message))
        assert solo.get(page).text == "3", "the state lives on"


def test_error_in_a_finalizer_after_the_response_is_logged(solo):
    page = counting(solo, "setmetatable({}, {__gc = function() error('in gc') end}) "
                          "local s = ('x'):rep(400000)")
    with unharmed(solo):
        assert solo.get(page, "bad").text == "1"
        solo.expect_error("collecting garbage")
        solo.wait_log("in gc", "error")


def test_error_in_a_finalizer_at_the_end_of_a_state_is_of_no_consequence(solo):
    page = solo.script("t = setmetatable({}, {__gc = function() error('in gc') end}) "
                      "function main() return 'old' end")
    with unharmed(solo):
        assert solo.get(page).text == "old"
        solo.any_errors = True
        solo.site.write(page, "function main() return 'new' end")
        wait_until(lambda: solo.get(page).text == "new", "the new script")


# -- renewal --

@pytest.mark.parametrize("option", ["LuaMaxRequests", "maxcount"])
def test_state_is_renewed_after_so_many_requests(daemon, option):
    d = daemon(WorkerThreads=1, LuaMaxStates=1, **{option: 3})
    page = counting(d, "error('counts too')")
    assert [d.get(page).text for _ in range(8)] == list("12312312")
    d.any_errors = True
    assert [d.get(page, "bad").status, d.get(page).text, d.get(page).text] == [500, "1", "2"]


# -- which files are scripts --

@pytest.fixture
def rooted(daemon, scratch):
    """A daemon with a ScriptRoot, and a secret beside it."""
    def make(**options):
        outside = scratch()
        with open(outside + "/secret.lua", "w", encoding="ascii") as f:
            f.write("function main() return 'secret' end")
        d = daemon(WorkerThreads=1, ScriptRoot=d_site.root, **options)
        d.any_errors = True
        d.outside = outside
        return d
    d_site = None

    def with_site(site, **options):
        nonlocal d_site
        d_site = site
        return make(**options)
    return with_site


def test_script_root_confines_scripts(rooted, site):
    d = rooted(site)
    relative = os.path.relpath(d.outside, site.root)
    os.symlink(d.outside + "/secret.lua", site.path("file.lua"))
    os.symlink(d.outside, site.path("dir"))
    os.symlink("/", site.path("top"))
    os.symlink("file.lua", site.path("twice.lua"))
    for path in ("file.lua", "twice.lua", "dir/secret.lua", relative + "/secret.lua",
                 "sub/../" + relative + "/secret.lua", "top" + d.outside + "/secret.lua",
                 "./.././" + os.path.basename(os.path.dirname(site.root)) + "x/secret.lua"):
        response = d.get(path)
        assert response.status in (403, 404) and "secret'" not in response.text, path
    for filename in (d.outside + "/secret.lua", site.root + "x/secret.lua", "/etc/passwd.lua",
                     site.root + "/../" + os.path.basename(d.outside) + "/secret.lua"):
        assert d.get("x.lua", SCRIPT_FILENAME=filename).status in (403, 404), filename
    d.site.write("good.lua", "function main() return 'good' end")
    assert d.get("good.lua").text == "good"


def test_script_root_lets_links_within_it_through(rooted, site):
    d = rooted(site)
    site.write("real/page.lua", "function main() return 'inside' end")
    os.symlink("real/page.lua", site.path("link.lua"))
    os.symlink("real", site.path("linked"))
    for path in ("link.lua", "linked/page.lua", "real/../real/page.lua", "real/page.lua"):
        assert d.get(path).text == "inside", path


def test_script_root_that_is_a_link_itself(daemon, site, scratch):
    link = scratch() + "/root"
    os.symlink(site.root, link)
    d = daemon(WorkerThreads=1, ScriptRoot=link)
    site.write("page.lua", "function main() return 'inside' end")
    assert d.get("page.lua").text == "inside"
    assert d.get("x.lua", SCRIPT_FILENAME=link + "/page.lua").text == "inside"


def test_without_script_root_a_link_may_lead_anywhere(solo, scratch):
    outside = scratch()
    with open(outside + "/page.lua", "w", encoding="ascii") as f:
        f.write("function main() return 'outside' end")
    os.symlink(outside + "/page.lua", solo.site.path("link.lua"))
    with unharmed(solo):
        assert solo.get("link.lua").text == "outside"


def test_link_with_an_allowed_name_to_a_file_without_is_a_script(solo):
    """The name that was asked for counts."""
    solo.site.write("page.txt", "function main() return 'text' end")
    os.symlink("page.txt", solo.site.path("page.lua"))
    os.symlink("page.lua", solo.site.path("other.txt"))
    with unharmed(solo):
        assert solo.get("page.lua").text == "text"
        assert solo.get("other.txt").status == 404


@pytest.mark.parametrize("confined", [True, False])
def test_swapped_links_show_nothing_that_was_not_asked_for(daemon, site, scratch, confined):
    """A link that is swapped all the time between two scripts, and a secret outside."""
    outside = scratch()
    with open(outside + "/secret.lua", "w", encoding="ascii") as f:
        f.write("function main() return 'secret' end")
    for name in "ab":
        site.write(name + "/page.lua", "local code = '%s' function main() return code end" % name)
    d = daemon(WorkerThreads=4, LuaMaxStates=4, MinFileInfoTime=5,
               **({"ScriptRoot": site.root} if confined else {}))
    d.any_errors = True
    targets = ["a/page.lua", "b/page.lua"] + ([outside + "/secret.lua"] if confined else [])
    done = threading.Event()

    def swap():
        n = 0
        while not done.is_set():
            n += 1
            os.symlink(targets[n % len(targets)], site.path("new"))
            os.rename(site.path("new"), site.path("page.lua"))
    os.symlink("a/page.lua", site.path("page.lua"))
    swapper = threading.Thread(target=swap)
    seen = []
    swapper.start()
    try:
        for _ in range(600):
            response = d.get("page.lua")
            seen.append(response.text if response.status == 200 else response.status)
    finally:
        done.set()
        swapper.join()
    assert set(seen) <= {"a", "b", 403} and {"a", "b"} & set(seen), set(seen)
    if not confined:
        assert 403 not in seen
    os.symlink("b/page.lua", site.path("new"))
    os.rename(site.path("new"), site.path("page.lua"))
    wait_until(lambda: d.get("page.lua").text == "b", "the last link")


def test_privileges_are_no_script_s_to_change(solo):
    """Nor does a child have more of them."""
    with unharmed(solo):
        text = solo.main("local p = io.popen('cat /proc/self/status') local s = p:read('a') "
                         "p:close() return s").text
        assert re.search(r"(?m)^Uid:\s*(.*)$", text).group(1) == status_field(solo, "Uid")
        assert re.search(r"(?m)^CapEff:\s*(.*)$", text).group(1) == status_field(solo, "CapEff")
