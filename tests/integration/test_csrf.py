"""lf.csrf and lf.csrf_ok: the session's token against forged forms."""

import re

import pytest

DAEMON = {"WorkerThreads": 2}
PAGE = """
function main()
    local ok = lf.csrf_ok()
    if lf.header("X-Renew") then Session.Regenerate() end
    Send(tostring(ok), " ", lf.csrf(), " ", tostring(lf.csrf() == lf.csrf()))
end"""


@pytest.fixture
def visitor(web):
    """Asks as a visitor with a session; gives the answer's status and token, too."""
    page, jar = web.script(PAGE), {}

    def ask(body=b"", **params):
        if jar:
            params.setdefault("HTTP_COOKIE", jar["cookie"])
        response = web.post(page, body, **params) if body else web.get(page, **params)
        for cookie in response.all("Set-Cookie"):
            jar["cookie"] = cookie.split(";")[0]
        ok, token, same = response.text.split()
        assert same == "true" and re.fullmatch(r"[\w-]{43}", token)
        return ok == "true", token
    return ask


def test_the_form_or_a_header_brings_the_token(visitor):
    ok, token = visitor()
    assert not ok
    assert visitor() == (False, token)
    body = b"a=1&csrf=" + token.encode()
    assert visitor(body) == (True, token)
    assert visitor(HTTP_X_CSRF_TOKEN=token) == (True, token)
    multipart = (b'--x\r\nContent-Disposition: form-data; name="csrf"\r\n\r\n' +
                 token.encode() + b"\r\n--x--\r\n")
    assert visitor(multipart, CONTENT_TYPE="multipart/form-data; boundary=x") == (True, token)


def test_any_other_text_is_refused(visitor):
    token = visitor()[1]
    other = ("A" if token[0] != "A" else "B") + token[1:]
    for given in other, token[:-1], token + "x", "", token.upper() + "x":
        assert not visitor(b"csrf=" + given.encode())[0]
        assert not visitor(HTTP_X_CSRF_TOKEN=given)[0]
    assert not visitor(b"csrf=%s&csrf=%s" % ((token.encode(),) * 2))[0]
    assert not visitor(b"token=" + token.encode())[0]
    assert not visitor(b"a=b", query="csrf=" + token)[0]


def test_a_token_is_of_one_session(visitor):
    token = visitor()[1]
    ok, other = visitor(b"csrf=" + token.encode(), HTTP_COOKIE="a=b")
    assert not ok and other != token


def test_a_new_key_is_a_new_token(visitor):
    token = visitor()[1]
    ok, renewed = visitor(HTTP_X_CSRF_TOKEN=token, HTTP_X_RENEW="1")
    assert ok and renewed != token
    assert not visitor(HTTP_X_CSRF_TOKEN=token)[0]
    assert visitor(HTTP_X_CSRF_TOKEN=renewed)[0]
