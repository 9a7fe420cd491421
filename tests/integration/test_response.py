"""The response: its header table, its length, streaming, reset."""

import pytest

from servers import PATIENCE, lua

DAEMON = {"WorkerThreads": 2}

SETTERS = pytest.mark.parametrize("setter", [
    "Header(%s, %s)", "con:header(%s, %s)", "Header(%s .. ': ' .. %s)",
    "con:header(%s .. ': ' .. %s)",
])


# -- the header table --

@SETTERS
def test_header_is_set(web, setter):
    response = web.main(setter % ("'X-Test'", "'a value: with colon'"))
    assert response.all("X-Test") == ["a value: with colon"]


def test_header_value_may_be_a_number_or_empty(web):
    response = web.main("Header('X-Number', 5) Header('X-Empty', '') Header('X-Line:')")
    assert (response.header("X-Number"), response.header("X-Empty"),
            response.header("X-Line")) == ("5", "", "")


@SETTERS
def test_last_set_wins_whatever_the_case(web, setter):
    code = " ".join(setter % (lua(name), lua(value)) for name, value in [
        ("X-Test", "1"), ("x-test", "2"), ("X-TEST", "3")])
    assert web.main("Header('X-test', '0') con:header('X-tesT: 0')" + code).all("x-test") == ["3"]


@SETTERS
@pytest.mark.parametrize("name", [
    "Set-Cookie", "Link", "WWW-Authenticate", "Vary", "Content-Security-Policy",
    "Content-Security-Policy-Report-Only", "Server-Timing", "Via"])
def test_fields_that_repeat(web, setter, name):
    code = " ".join(setter % (lua(n), lua(v)) for n, v in [
        (name, "a=1"), (name.lower(), "b=2"), (name.upper(), "a=1")])
    assert web.main(code).all(name) == ["a=1", "b=2", "a=1"]


@SETTERS
@pytest.mark.parametrize("name", ["Location", "Cache-Control", "Content-Length", "ETag",
                                  "Content-Security-Policy-Report", "Set-Cookie2"])
def test_all_other_fields_are_there_once(web, setter, name):
    code = " ".join(setter % (lua(n), lua(v)) for n, v in [(name, "1"), (name.upper(), "0")])
    assert web.main(code).all(name) == ["0"]


@pytest.mark.parametrize("call", ["Header(%s)", "con:header(%s)"])
def test_header_takes_a_table_of_names_and_values(web, call):
    response = web.main(call % "{['X-One'] = 'two words', ['x-two'] = 2, Status = 404.0}")
    assert (response.all("X-One"), response.all("X-Two")) == (["two words"], ["2"])
    check_once(response, "404 Not Found")


@pytest.mark.parametrize("table", ["{'X-A: 1'}", "{['X-A'] = {}}", "{['X-A'] = true}",
                                   "{[true] = 'x'}"])
def test_header_with_another_table_is_an_error(web, table):
    response = web.main("Send(select(2, pcall(Header, %s)))" % table)
    assert "bad argument #1" in response.text and "names and values" in response.text


def test_header_value_without_a_fraction_is_an_integer(web):
    response = web.main("Header('Retry-After', 7200 / 60) Header('X-Half', 0.5)")
    assert (response.header("Retry-After"), response.header("X-Half")) == ("120", "0.5")


def test_many_headers_keep_their_order(web):
    response = web.main("for i = 1, 200 do Header('X-' .. i, 'v' .. i) end")
    assert [h for h in response.headers if h[0].startswith("X-") and h[0][2].isdigit()] == \
        [("X-%d" % i, "v%d" % i) for i in range(1, 201)]


def test_long_header(web):
    assert web.main("Header('X-Long', ('v'):rep(20000))").header("X-Long") == "v" * 20000


STATUS = ["RespStatus('404 Not Found')", "RespStatus(404)",
          "con:config('httpstatus', '404 Not Found')", "con:config('httpstatus', 404)",
          "Header('Status', '404 Not Found')", "Header('status: 404 Not Found')",
          "con:header('STATUS', '404 Not Found')", "con:header('Status: 404 Not Found')",
          "con:config('headers', 'Status: 404 Not Found\\r\\n')"]
TYPE = ["RespContentType('text/plain')", "con:config('contenttype', 'text/plain')",
        "Header('Content-Type', 'text/plain')", "Header('content-type: text/plain')",
        "con:header('CONTENT-TYPE', 'text/plain')", "con:header('Content-type: text/plain')",
        "con:config('headers', 'Content-Type: text/plain\\r\\n')"]
OTHER = ["RespStatus(201)", "con:config('httpstatus', '201 Created')",
         "Header('Status: 201 Created')", "RespContentType('a/b')",
         "con:config('contenttype', 'a/b')", "Header('content-type', 'a/b')"]


def check_once(response, status="200 OK", kind="text/html"):
    assert response.all("Status") == [status]
    assert response.all("Content-Type") == [kind]


def test_status_and_content_type_are_there_once_by_default(web):
    check_once(web.main(""))
    check_once(web.main("Flush() Send('x')"))


@pytest.mark.parametrize("setter", STATUS)
def test_status_is_there_once_whatever_way_it_was_set(web, setter):
    check_once(web.main(setter), "404 Not Found")
    check_once(web.main(" ".join(OTHER) + "\nRespContentType('text/html') " + setter),
               "404 Not Found")
    check_once(web.main(setter + " Flush()"), "404 Not Found")


@pytest.mark.parametrize("setter", TYPE)
def test_content_type_is_there_once_whatever_way_it_was_set(web, setter):
    check_once(web.main(setter), kind="text/plain")
    check_once(web.main(" ".join(OTHER) + "\nRespStatus(200) " + setter), kind="text/plain")
    check_once(web.main(setter + " Flush()"), kind="text/plain")


def test_status_numbers_get_their_text(web):
    assert web.main("RespStatus(503)").header("Status") == "503 Service Unavailable"
    assert web.main("RespStatus(Response[303])").header("Status") == "303 See Other"
    assert web.main("RespStatus('299 My Own')").header("Status") == "299 My Own"


SET_STATUS = pytest.mark.parametrize("setter", [
    "RespStatus(%s)", "con:config('httpstatus', %s)", "Header('Status', %s)",
    "con:header('status', %s)", "Header({Status = %s})"])


@SET_STATUS
@pytest.mark.parametrize("value, expected", [
    ("404.0", "404 Not Found"), ("808/2", "404 Not Found"), ("'404'", "404 Not Found"),
    ("200", "200 OK"), ("599", "599 Unassigned"), ("'599 Last'", "599 Last"),
])
def test_status_may_be_any_from_200_to_599_and_a_number_without_fraction(
        web, setter, value, expected):
    check_once(web.main(setter % value), expected)


@SET_STATUS
@pytest.mark.parametrize("value", [
    "100", "'100 Continue'", "101", "103", "199", "600", "999", "0", "-404", "404.5", "20", "2000",
    "'404Not Found'", "''", "'OK'", "Response[100]"])
def test_status_of_no_answer_is_an_error_and_is_not_sent(web, setter, value):
    response = web.main("Send(tostring((pcall(function() %s end))))" % (setter % value))
    assert response.text == "false"
    check_once(response)


def test_status_error_says_what_is_expected(web):
    assert web.main("Send(select(2, pcall(RespStatus, 100)))").text == \
        "bad argument #1 to 'RespStatus' (an HTTP status from 200 to 599 expected, as " \
        "\"404 Not Found\")"


# -- Location --

@pytest.mark.parametrize("code, status", [
    ("Header('Location', '/there')", "302 Found"),
    ("con:header('location: http://example.org/')", "302 Found"),
    ("Header('Location', '/there') Send('x') Flush()", "302 Found"),
    ("con:config('headers', 'Location: /there\\r\\n')", "302 Found"),
    ("Header('Location', '/there') RespStatus(303)", "303 See Other"),
    ("RespStatus(200) Header('Location', '/there')", "200 OK"),
    ("Header('Status', 201) Header('Location', '/there')", "201 Created"),
    ("Header('Location', '')", "200 OK"),
    ("Header('Location', '/there') Reset()", "200 OK"),
    ("RespStatus(201) Reset() Header('Location', '/there')", "302 Found"),
    ("pcall(RespStatus, 100) Header('Location', '/there')", "302 Found"),
])
def test_location_without_a_status_means_302(web, code, status):
    check_once(web.main(code), status)


@pytest.mark.parametrize("default, status", [
    ("202 Accepted", "302 Found"), ("303 See Other", "303 See Other")])
def test_location_wins_over_a_default_status_that_is_no_redirect(daemon, default, status):
    d = daemon(DefaultHttpStatus=default)
    check_once(d.main("Header('Location', '/there')"), status)
    check_once(d.main(""), default)


def test_location_of_a_script_that_fails_is_not_sent(web):
    response = web.run("function main() Header('Location', '/there') error('no') end")
    assert response.status == 500 and response.header("Location") is None
    web.expect_error("no")


DEFAULTS = {"DefaultHttpStatus": "202 Accepted", "DefaultContentType": "text/plain",
            "DefaultHeaders": "X-One: 1\r\nX-Two: 2\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"}


def test_defaults_of_the_daemon(web):
    response = web.main("Send('x')")
    check_once(response)
    assert response.all("X-Powered-By") == ["luafcgid2"]


@pytest.mark.parametrize("names", [
    {}, {"DefaultHttpStatus": "httpstatus", "DefaultContentType": "contenttype",
         "DefaultHeaders": "headers"}], ids=["v2 names", "v1 names"])
def test_defaults_of_the_configuration(daemon, names):
    d = daemon(**{names.get(k, k): v for k, v in DEFAULTS.items()})
    response = d.main("Header('x-two', 'own') Header('Set-Cookie', 'c=3')")
    check_once(response, "202 Accepted", "text/plain")
    assert (response.all("X-One"), response.all("X-Two")) == (["1"], ["own"])
    assert response.all("Set-Cookie") == ["a=1", "b=2", "c=3"]
    assert response.all("X-Powered-By") == []
    check_once(d.main("RespStatus(404) RespContentType('a/b')"), "404 Not Found", "a/b")


def test_status_and_type_in_the_default_headers_are_defaults(daemon):
    d = daemon(DefaultHeaders="Content-Type: text/plain\r\nStatus: 201 Created\r\n")
    response = d.main("RespStatus(404) RespContentType('a/b')")
    check_once(response, "404 Not Found", "a/b")
    response = d.main("")
    assert len(response.all("Status")) == 1 and len(response.all("Content-Type")) == 1


@pytest.mark.parametrize("headers", ["", "X-No-End: 1"])
def test_default_headers_may_be_empty_or_lack_the_last_line_end(daemon, headers):
    response = daemon(DefaultHeaders=headers).main("Send('x')")
    assert response.text == "x"
    assert response.all("X-No-End") == (["1"] if headers else [])


def test_headers_of_one_request_are_not_in_the_next(solo):
    page = solo.script("""function main() if Env.QUERY_STRING == "set" then
        Header('X-Left', '1') Header('Set-Cookie', 'a=1') RespStatus(404)
        RespContentType('a/b') end end""")
    solo.get(page, "set")
    response = solo.get(page)
    check_once(response)
    assert response.header("X-Left") is None and response.header("Set-Cookie") is None


# -- what would split a response --

BAD_CALLS = [
    "Header('X-Bad', %s)", "Header(%s, 'v')", "Header('X-Bad: ' .. %s)", "con:header('X-Bad', %s)",
    "con:header(%s, 'v')", "con:header(%s .. ': v')", "Header('Set-Cookie', %s)",
    "RespStatus('200 ' .. %s)", "RespContentType(%s)", "con:config('httpstatus', '200 ' .. %s)",
    "con:config('contenttype', %s)", "Header('Status', '200 ' .. %s)",
    "Header('Content-Type', %s)",
]
BAD_TEXT = ["evil\\r\\nInjected: yes", "evil\\nInjected: yes", "evil\\rInjected: yes",
            "evil\\0Injected: yes", "\\nevil"]


@pytest.mark.parametrize("text", BAD_TEXT)
@pytest.mark.parametrize("call", BAD_CALLS)
def test_line_ends_and_nul_in_headers_are_errors_and_nothing_is_sent(web, call, text):
    response = web.main("""
        local ok, message = pcall(function() %s end)
        Send(tostring(ok), type(message))""" % (call % ('"%s"' % text)))
    assert response.text == "falsestring"
    assert b"evil" not in response.raw and b"njected" not in response.raw
    check_once(response)


def test_nul_in_con_config_headers_is_an_error(web):
    response = web.main("Send(tostring((pcall(con.config, con, 'headers', 'X-A: e\\0vil'))))")
    assert response.text == "false" and b"vil" not in response.raw


@pytest.mark.parametrize("text", ["X-B: 2\\r\\nX-A: e\\0vil", "Status: 404\\r\\nX-A: e\\rvil",
                                  "Content-Type: a/b\\r\\nStatus: 100"])
def test_refused_con_config_headers_leave_all_as_it_was(web, text):
    response = web.main("Header('X-A', 'good') Send(tostring((pcall(con.config, con, 'headers', "
                        "'%s'))))" % text)
    assert response.text == "false" and response.all("X-A") == ["good"]
    assert response.all("X-B") == [] and response.all("X-Powered-By") == ["luafcgid2"]
    check_once(response)


def test_refused_header_leaves_the_one_before(web):
    response = web.main("Header('X-A', 'good') pcall(Header, 'X-A', 'b\\nad') "
                        "RespStatus(404) pcall(RespStatus, '500 b\\nad')")
    assert response.header("X-A") == "good" and response.status == 404


def test_uncaught_refusal_is_an_error_page_without_the_text(web):
    response = web.run("function main() Header('X-A', 'evil\\r\\nInjected: yes') end")
    assert response.status == 500 and b"njected" not in response.raw
    web.expect_error(r"\.lua:1:")


# -- length and streaming --

@pytest.mark.parametrize("code, body", [
    ("", b""), ("Send('')", b""), ("Send('x')", b"x"), ("return 'abc', 12", b"abc"),
    ("Send('\\xc3\\xbc')", b"\xc3\xbc"), ("Send('a\\0b')", b"a\0b"),
    ("for i = 1, 1000 do Send(i, ' ') end", b"".join(b"%d " % i for i in range(1, 1001))),
    ("con:puts('a') Send('b') return 'c'", b"ab"), ("Send('lost') Reset() Send('x')", b"x"),
])
def test_content_length_is_exact_when_nothing_was_flushed(web, code, body):
    response = web.main(code)
    assert response.body == body and response.all("Content-Length") == [str(len(body))]


@pytest.mark.parametrize("size", [8183, 8184, 8185, 65535, 65536, 65537, 131070, 131071,
                                  3 << 20])
def test_content_length_around_the_sizes_of_records(web, size):
    response = web.main("local n = %d Send(('x'):rep(n - 1), 'y')" % size)
    assert response.all("Content-Length") == [str(size)]
    assert response.body == b"x" * (size - 1) + b"y"


@pytest.mark.parametrize("wrong", ["0", "3", "1000000", "-1", "x"])
def test_content_length_of_a_script_does_not_count(web, wrong):
    response = web.main("Header('Content-Length', %s) Send('exact')" % lua(wrong))
    assert response.all("Content-Length") == ["5"] and response.text == "exact"


@pytest.mark.parametrize("code, body", [
    ("Send('a') Flush() Send('b')", "ab"), ("con:puts('a') con:flush() con:puts('b')", "ab"),
    ("Flush()", ""), ("Flush() return 'x'", "x"), ("Send('a') Flush() Flush() return 'b'", "a"),
    ("con:config('buffering', false) Send('a') Send('b') return 'c'", "ab"),
    ("Send('a') con:config('buffering', false) Send('b') con:config('buffering', true) Send('c')",
     "abc"),
])
def test_flushed_response_has_no_content_length(web, code, body):
    response = web.main("Header('X-A', '1') " + code)
    assert response.text == body and response.all("Content-Length") == []
    assert response.raw.count(b"X-A: 1") == 1 and response.raw.count(b"Status:") == 1


@pytest.mark.parametrize("send", ["Send('%s') Flush()", "con:puts('%s') con:flush()"])
def test_flush_sends_at_once(web, send):
    page = web.script("function main(env, con) %s Receive(1) %s Receive(1) Send('three') end" %
                      (send % "one", send % "two"))
    with web.open(page) as c:
        start = c.read_until("one")
        assert b"Status: 200 OK\r\n" in start and start.endswith(b"\r\n\r\none")
        c.body("x")
        assert c.read_until("two") == b"two"
        c.body("y").end()
        assert c.response().raw == b"three"


def test_nothing_is_sent_before_a_flush(web):
    page = web.script("function main() Send('early') Log('waiting') Receive() end")
    with web.open(page) as c:
        web.wait_log("waiting")
        assert not c.incoming
        assert c.end().response().text == "early"


@pytest.mark.parametrize("options, code", [
    ({"Buffering": False}, ""), ({"buffering": False}, ""),
    ({}, "con:config('buffering', false)"),
], ids=["Buffering", "buffering", "con:config"])
def test_without_buffering_every_send_goes_out_at_once(daemon, options, code):
    d = daemon(**options)
    page = d.script("function main(env, con) %s Send('one') Receive(1) con:puts('two') "
                    "Receive(1) Send('three') end" % code)
    with d.open(page) as c:
        c.read_until("one")
        c.body("x")
        assert c.read_until("two") == b"two"
        assert c.body("y").end().response().raw == b"three"


@pytest.mark.parametrize("size", [1, 65535, 65536, 1 << 20, 5 << 20])
def test_flushed_bodies_of_every_size_arrive_whole(web, size):
    response = web.main("Flush() Send(('x'):rep(%d)) Flush() Send('end')" % size)
    assert response.body == b"x" * size + b"end"


@pytest.mark.parametrize("options", [
    {"HeadersSize": 1, "BodySize": 1, "BodySectors": 1},
    {"headersize": 1, "bodysize": 1},
    {"HeadersSize": 4096, "BodySize": 65536, "BodySectors": 16},
], ids=["tiny", "tiny by their v1 names", "large"])
def test_first_buffer_sizes_do_not_show(daemon, options):
    d = daemon(**options)
    response = d.main("Header('X-A', ('h'):rep(500)) for i = 1, 20000 do Send(i) end Send('e')")
    expected = "".join(map(str, range(1, 20001))) + "e"
    assert response.text == expected and response.header("X-A") == "h" * 500
    assert response.all("Content-Length") == [str(len(expected))]


# -- no body --

def test_head_sends_the_headers_alone(web):
    page = web.script("function main() Header('X-A', '1') Send('12345', '67') end")
    response = web.request(page, "HEAD")
    assert response.complete_head and response.body == b""
    assert response.status == 200 and response.header("X-A") == "1"
    assert response.all("Content-Length") == ["7"]


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("code", ["Send('body')", "return 'body'", "Send('a') Flush() Send('b')"])
def test_status_without_a_body(web, status, code):
    response = web.main("RespStatus(%d) Header('X-A', '1') %s" % (status, code))
    assert response.complete_head and response.body == b""
    assert response.status == status and response.header("X-A") == "1"
    assert response.all("Content-Length") == []


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("flush", ["", "Flush()"])
def test_content_length_is_not_sent_with_a_status_without_a_body(web, method, status, flush):
    response = web.main("RespStatus(%d) Header('Content-Length', 5) %s" % (status, flush), method)
    assert response.complete_head and response.all("Content-Length") == []


@pytest.mark.parametrize("code, length", [
    ("Header('Content-Length', '5000')", "5000"), ("con:header('content-length: 5000')", "5000"),
    ("Header('Content-Length', 5000) Flush()", "5000"),
    ("Header('Content-Length', 10000 / 2)", "5000"),
    ("Header('Content-Length', 5000) Send('ignored')", "5000"),
    ("Header('Content-Length', 'x') Send('four')", "4"),
    ("Header('Content-Length', '-1') Send('four')", "4"), ("Send('four')", "4"), ("", "0"),
])
def test_content_length_that_a_script_sets_for_head_stays(web, code, length):
    response = web.main(code, "HEAD")
    assert response.complete_head and response.body == b""
    assert response.all("Content-Length") == [length]


@pytest.mark.parametrize("code", ["Send('a') Flush() Send('b') Flush() return 'c'",
                                  "con:config('buffering', false) Send('a') Send('b')"])
def test_head_of_a_flushed_response(web, code):
    response = web.main(code, "HEAD")
    assert response.complete_head and response.body == b"" and response.status == 200


def test_head_of_an_error_page(web):
    response = web.request("nothing.lua", "HEAD")
    assert response.status == 404 and response.complete_head and response.body == b""


def test_kept_connection_goes_on_after_responses_without_body(solo):
    page = solo.script("function main() RespStatus(Env.X_STATUS) Send('body') end")
    with solo.connect() as c:
        for method, status, body in [("HEAD", "200 OK", b""), ("GET", "204 No Content", b""),
                                     ("GET", "304 Not Modified", b""), ("GET", "200 OK", b"body")]:
            c.begin(solo.site.params(page, method, X_STATUS=status), keep=True).end()
            assert c.response().body == body


# -- Reset --

DIRTY = ("Send('lost') Header('X-Lost', '1') Header('Set-Cookie', 'lost=1') "
         "RespStatus(404) RespContentType('a/b') ")


def test_reset_of_v2_drops_body_and_headers(web):
    response = web.main(DIRTY + "Reset() Send('kept') Header('X-Kept', '1')")
    assert response.text == "kept" and response.header("X-Kept") == "1"
    assert response.header("X-Lost") is None and response.header("Set-Cookie") is None
    assert response.all("X-Powered-By") == ["luafcgid2"]  # the defaults are back
    check_once(response)


def test_reset_of_v1_drops_the_body(web):
    response = web.main(DIRTY + "con:reset() con:puts('kept')")
    assert response.text == "kept"
    assert response.header("X-Lost") == "1" and response.header("Set-Cookie") == "lost=1"
    check_once(response, "404 Not Found", "a/b")


@pytest.mark.parametrize("reset", ["Reset()", "con:reset()"])
def test_reset_after_a_flush_drops_what_is_not_yet_sent(web, reset):
    response = web.main("Header('X-A', '1') Send('sent') Flush() Send('lost') %s Send('end')"
                        % reset)
    assert response.text == "sentend" and response.header("X-A") == "1"


# -- the way back --

def test_response_ends_properly(web):
    with web.connect() as c:
        c.begin(web.site.params(web.script("function main() Send('x') end"))).end()
        response = c.response()
        assert (response.app_status, response.protocol_status) == (0, 0)
        assert response.stderr == b"" and c.is_closed(PATIENCE)


def test_response_may_be_larger_than_the_sockets_buffers(web):
    """And while the body still comes in: both sides talk at once."""
    page = web.script("function main() Flush() while true do local p = Receive(65536) "
                      "if p == '' then break end Send(p) Flush() end end")
    with web.open(page) as c:
        for i in range(40):
            c.body(bytes([65 + i]) * 25000)
        response = c.end().response()
    assert response.body == b"".join(bytes([65 + i]) * 25000 for i in range(40))
