"""Names that a client chooses so that Lua's hash makes all of them the same: a form, the
request's headers, its cookies. They cost no more than others, or are refused."""

import itertools
import time

import pytest

from harm import check_page, unharmed

DAEMON = {"WorkerThreads": 1, "MaxPostSize": 8 << 20, "RequestTimeout": 60}
QUICKLY = 20  # seconds; the longest of these would take more than 60


def colliding(count, length=33):
    """Of names of 32 bytes and more the hash of Lua 5.3 does not read all: what it does not
    read differs, behind a beginning that may become HTTP_."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    step = (length >> 5) + 1
    free = [i for i in range(5, length) if (length - 1 - i) % step][:4]
    names = []
    for some in itertools.islice(itertools.product(letters, repeat=len(free)), count):
        name = ["x"] * length
        for place, letter in zip(free, some):
            name[place] = letter
        names.append("".join(name))
    return names


def ask(web, page, body=b"", **more):
    began = time.monotonic()
    response = web.request(page, "POST" if body else "GET", body, **more)
    return response, time.monotonic() - began


def test_form_of_more_fields_than_allowed_is_a_bad_request(web):
    page = web.script("function main() return #lf.parse(Receive()) end")
    body = "&".join("f%d=" % i for i in range(1001)).encode()
    with_traceback = web.log()
    response = web.request(page, "POST", body)
    assert "What was sent" in check_page(response, 400)
    line = web.wait_log(r"400: a form of more than 1000 fields \(MaxFormFields\)", "info")
    assert "stack traceback" not in web.log()[len(with_traceback):]
    assert line
    assert web.request(page, "POST", body[:-6]).status == 200


def test_fields_of_the_same_name_count_too(web):
    assert web.main("return #lf.parse(('a=1&'):rep(1000)).a").text == "1000"
    check_page(web.main("return #lf.parse(('a=1&'):rep(1001)).a"), 400)


def test_separators_alone_are_no_fields(web):
    assert web.main("return tostring(next(lf.parse(('&'):rep(5000))))").text == "nil"


def test_refused_form_is_an_error_that_a_script_can_catch(web):
    """As a string; raised again it is what it was, and another error is not taken for it."""
    prelude = "local ok, why = pcall(lf.parse, ('a=1&'):rep(1001)) "
    assert web.main(prelude + "return why").text == "a form of more than 1000 fields (MaxFormFields)"
    check_page(web.main(prelude + "error(why, 0)"), 400)
    check_page(web.main(prelude + "error('other')"), 500)
    web.expect_error("other")
    assert web.main(prelude + "return 'answered'").text == "answered"


def test_maxformfields_is_an_option(daemon):
    d = daemon(MaxFormFields=3)
    assert d.main("return lf.parse('a&b&c').c").text == ""
    check_page(d.main("return lf.parse('a&b&c&d').c"), 400)
    free = daemon(MaxFormFields=0)
    assert free.main("local n = 0 for _ in pairs(lf.parse(Receive())) do n = n + 1 end return n",
                     method="POST",
                     body="&".join("f%d" % i for i in range(5000)).encode()).text == "5000"


@pytest.mark.parametrize("length", [33, 40, 41, 80])
def test_form_of_colliding_names_is_parsed_quickly(web, length):
    names = colliding(100000, length)
    page = web.script("function main() return tostring(pcall(lf.parse, Receive())) end")
    with unharmed(web):
        response, took = ask(web, page, body="&".join(names).encode())
        assert response.text == "false" and took < QUICKLY
        response, took = ask(web, page, body="&".join(names[:1000]).encode())
        assert response.text == "true" and took < QUICKLY


def test_more_parameters_than_any_browser_sends_are_refused(web):
    params = {"HTTP_" + name[5:]: "" for name in colliding(1300)}
    page = web.script("function main() return tostring(Env.HTTP_HOST) end")
    with unharmed(web):
        response, took = ask(web, page, **params)
        assert "more fields" in check_page(response, 431)
        assert took < QUICKLY
    web.wait_log("431: the request has more than 1000 parameters", "info")


def test_env_of_colliding_names_is_made_quickly(web):
    names = ["HTTP_" + name[5:] for name in colliding(900)]
    page = web.script("function main() local n = 0 for k in pairs(Env) do n = n + 1 end "
                      "return tostring(n > 900) end")
    with unharmed(web):
        response, took = ask(web, page, **dict.fromkeys(names, "v"))
        assert response.text == "true" and took < QUICKLY


def test_cookies_are_bounded_in_number(daemon):
    d = daemon(WorkerThreads=1, MaxHeadSize=1 << 20)
    page = d.script("function main() local n = 0 for k in pairs(Cookies) do n = n + 1 end "
                    "return n end")
    response, took = ask(d, page, HTTP_COOKIE=";".join(colliding(20000)))
    assert response.text == "1000" and took < QUICKLY
