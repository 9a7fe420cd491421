"""The helper library lf: round trips, edges, nil."""

import string
from urllib.parse import quote_plus

import pytest

from servers import lua

DAEMON = {"WorkerThreads": 1}
BYTES = bytes(range(256))


def encoded(data):
    plain = (string.ascii_letters + string.digits).encode()
    return "".join(chr(b) if b in plain else "+" if b == 32 else "%%%02X" % b for b in data)


# -- URL encoding --

@pytest.mark.parametrize("text", [
    b"", b"abcXYZ019", b"a b", b"-._~", b"a&b=c", b"100%", "z\u00fcrich".encode(), b"\0", BYTES,
], ids=repr)
def test_urlencode(web, text):
    assert web.main("Send(lf.urlencode(%s))" % lua(text)).text == encoded(text)


@pytest.mark.parametrize("text, expected", [
    ("", b""), ("a+b", b"a b"), ("a%20b", b"a b"), ("%41%7a%7A", b"Azz"), ("%00", b"\0"),
    ("%e4%E4", b"\xe4\xe4"), ("%2B", b"+"), ("%2541", b"%41"), ("a%26b", b"a&b"),
    ("~plain/text", b"~plain/text"),
    ("100%", b"100%"), ("%4", b"%4"), ("%zz%4g%", b"%zz%4g%"), ("%%41", b"%A"),
])
def test_urldecode(web, text, expected):
    assert web.main("Send(lf.urldecode(%s))" % lua(text)).body == expected


@pytest.mark.parametrize("data", [BYTES, b" +%&=;", b"%41", b"x" * 100000], ids=len)
def test_urldecode_undoes_urlencode(web, data):
    assert web.value("lf.urldecode(lf.urlencode(%s)) == %s" % ((lua(data),) * 2)) == "true"


def test_urldecode_understands_other_encoders(web):
    text = "Gr\u00fc\u00dfe & mehr: 100 %"
    assert web.main("Send(lf.urldecode(%s))" % lua(quote_plus(text))).text == text


# -- parsing --

@pytest.mark.parametrize("text, name, value", [
    ("a=b", "a", "b"), ("a=b=c", "a", "b=c"), ("a==", "a", "="), ("a=", "a", ""),
    ("a", "a", ""), ("=b", "", "b"), ("", "", ""), ("=", "", ""), ("a b=c d", "a b", "c d"),
])
def test_parse_pair(web, text, name, value):
    assert web.main("""local n, v = lf.parse_pair(%s)
        Send(type(n), type(v), "[", n, "][", v, "]")""" % lua(text)).text == \
        "stringstring[%s][%s]" % (name, value)


# What lf.parse gives, as a Lua expression of the table that it should be.
PARSED = [
    ("", "{}"), ("a=1", "{a='1'}"), ("a=1&b=2", "{a='1', b='2'}"),
    ("a=1&a=2", "{a={'1','2'}}"), ("a=3&b=x&a=1&a=2", "{a={'3','1','2'}, b='x'}"),
    ("a&b=", "{a='', b=''}"), ("a&a", "{a={'',''}}"), ("a=b=c", "{a='b=c'}"),
    ("a=x+y%26z", "{a='x y&z'}"), ("a%3Db=c", "{['a=b']='c'}"), ("%61=1&a=2", "{a={'1','2'}}"),
    ("&&a=1&", "{a='1'}"), ("1=x", "{['1']='x'}"), ("a=%00", "{a='\\0'}"),
    ("list[]=1&list[]=2", "{['list[]']={'1','2'}}"),
]

EQUAL = """
    local function equal(a, b)
        if math.type(a) ~= math.type(b) or type(a) ~= type(b) then return false end
        if type(a) ~= "table" then return a == b or a ~= a and b ~= b end
        for k, v in pairs(a) do if not equal(v, b[k]) then return false end end
        for k in pairs(b) do if a[k] == nil then return false end end
        return true
    end
"""


@pytest.mark.parametrize("text, expected", PARSED)
def test_parse(web, text, expected):
    assert web.main(EQUAL + "Send(tostring(equal(lf.parse(%s), %s)), lf.serialize(lf.parse(%s)))"
                    % (lua(text), expected, lua(text))).text.startswith("true")


def test_parse_many_names(web):
    query = "&".join("n%d=%d" % (i, i) for i in range(1000))
    assert web.value("lf.parse(%s).n999" % lua(query)) == "999"
    assert web.value("#lf.parse(%s).n" % lua("&".join(["n=1"] * 1000))) == "1000"


def test_parse_of_query_string_and_form(web):
    assert web.main("Send(lf.parse(Env.QUERY_STRING).q, lf.parse(Receive()).f)", "POST",
                    query="q=a+b", body=b"f=%C3%BC").text == "a b\u00fc"


@pytest.mark.parametrize("expression, expected", [
    ("lf.urlencode(nil)", "nil"), ("lf.urldecode(nil)", "nil"), ("lf.parse_pair(nil)", "nil"),
    ("type(lf.parse(nil))", "table"), ("next(lf.parse(nil))", "nil"),
    ("load('return ' .. lf.serialize(nil))()", "nil"),
])
def test_nil_is_accepted(web, expression, expected):
    assert web.value(expression) == expected


# -- serialize --

VALUES = [
    "nil", "true", "false",
    "0", "1", "-1", "math.maxinteger", "math.mininteger", "1.0", "-1.0", "0.1", "1/3", "1e100",
    "1e15", "1e16", "2^53", "2^63", "-2^63", "5e-324", "1.7976931348623157e308", "1/0", "-1/0",
    "0/0", "100.0", "123456789012345678",
    "''", "'plain'", "'\"quoted\"'", "'back\\\\slash'", "'line\\nline\\r\\n\\r'", "'\\0'",
    "'\\0001'", "'\\r1'", "']]'", "bytes", "bytes .. bytes", "('x'):rep(100000)",
    "{}", "{1, 2, 3}", "{1, nil, 3}", "{[1]='a', [2]='b', [4]='d'}", "{{}, {{}}, {{{1}}}}",
    "{a=1, b={c={d='deep'}}}", "{1, 2, x='y', {z=1}}",
    "{[true]='yes', [false]='no'}", "{[1]='int', [1.5]='float', ['1']='string'}",
    "{[-1]=1, [0]=2}", "{[math.mininteger]=1, [math.maxinteger]=2}",
    "{[1/0]='inf', [-1/0]='-inf'}", "{[2^53]=1, [2^63]=2, [0.1]=3}",
    "{['']=1, ['a b']=2, ['end']=3, ['\\0\\n']=4, [bytes]=5, ['nil']=6}",
    "{1, 2.0, 3, 4.0}", "{1/0, -1/0, 0/0}", "{false, nil, false}",
]


@pytest.mark.parametrize("value", VALUES)
def test_serialize_gives_an_equal_value_back(web, value):
    response = web.main(EQUAL + """
        local all = {} for i = 0, 255 do all[#all + 1] = string.char(i) end
        local bytes = table.concat(all)
        local value = %s
        local text = lf.serialize(value)
        local back = assert(load("return " .. text))
        Send(type(text), " ", tostring(equal(value, back())))""" % value)
    assert response.text == "string true"


@pytest.mark.parametrize("value, text", [
    ("1.5", "1.5"), ("0.1", "0.1"), ("1.0", "1.0"), ("-1.0", "-1.0"), ("100.0", "100.0"),
    ("-0.0", "-0.0"), ("1e15", "1e+15"), ("123456789012345.0", "123456789012345.0"),
    ("1e100", "1e+100"), ("0.1 + 0.2", "0.30000000000000004"), ("1/3", "0.3333333333333333"),
    ("2^53", "9007199254740992.0"), ("2^63", "9.223372036854776e+18"), ("5e-324", "5e-324"),
    ("1.7976931348623157e308", "1.7976931348623157e+308"), ("2.5e-320", "2.5e-320"),
    ("1e-5", "1e-05"), ("3.14", "3.14"), ("19.99", "19.99"),
    ("1/0", "1e9999"), ("-1/0", "-1e9999"), ("0/0", "(0/0)"),
    ("7", "7"), ("{0.5, x = 2.0}", '{[1]=0.5,["x"]=2.0}'), ("{[0.5] = true}", "{[0.5]=true}"),
])
def test_serialize_writes_floats_in_as_few_decimal_digits_as_give_them_back(web, value, text):
    assert web.value("lf.serialize(%s)" % value) == text


def test_serialize_gives_back_every_float(web):
    """Of all magnitudes, as floats, the same to the last bit."""
    assert web.main("""
        local wrong = 0
        for i = 1, 20000 do
            local n = string.unpack("d", string.pack("j", math.random(math.mininteger,
                                                                      math.maxinteger)))
            local text = lf.serialize(n)
            local back = load("return " .. text)()
            local same = math.type(back) == "float" and (back == n or n ~= n and back ~= back)
            if not same or #text > 25 then wrong = wrong + 1 end
        end
        return wrong""").text == "0"


def test_serialize_keeps_negative_zero(web):
    assert web.value("1 / load('return ' .. lf.serialize(-0.0))()") == "-inf"


def test_serialize_does_not_depend_on_globals(web):
    assert web.main("""
        local back = load("return " .. lf.serialize({1/0, -1/0, 0/0, math.mininteger}), "x", "t",
                          {})()
        Send(tostring(back[1] == 1/0 and back[2] == -1/0 and back[3] ~= back[3]
                      and math.type(back[4]) == "integer"))""").text == "true"


def test_serialize_repeats_a_table_that_is_there_twice(web):
    assert web.main("""local t = {1}
        local back = load("return " .. lf.serialize({t, t}))()
        Send(back[1][1], back[2][1])""").text == "11"


def test_serialize_does_not_call_metamethods(web):
    assert web.main("""
        local called
        local t = setmetatable({a = 1}, {
            __index = function() called = true end, __tostring = function() called = true end,
            __pairs = function() called = true return next, {} end,
            __len = function() called = true return 0 end})
        local back = load("return " .. lf.serialize(t))()
        Send(tostring(called), back.a)""").text == "nil1"


def test_serialize_of_a_large_table(web):
    assert web.main("""
        local t = {} for i = 1, 20000 do t[i] = {i, tostring(i)} end
        local back = load("return " .. lf.serialize(t))()
        Send(#back, " ", back[20000][2])""").text == "20000 20000"


@pytest.mark.parametrize("value", [
    "print", "function() end", "coroutine.create(print)", "io.stdout", "{1, {print}}",
    "{[print]=1}", "{[{}]=1}", "{a={b={c=io.stdout}}}",
])
def test_serialize_refuses_what_cannot_be_written(web, value):
    assert web.main("local ok, message = pcall(lf.serialize, %s)\nSend(tostring(ok), "
                    "type(message))" % value).text == "falsestring"


@pytest.mark.parametrize("cycle", [
    "t.self = t", "t[1] = {t}", "t.a = {b = {c = {t}}}", "t[1] = {} t[1][1] = t[1]",
])
def test_serialize_refuses_a_cycle(web, cycle):
    assert web.main("local t = {} %s\nlocal ok, message = pcall(lf.serialize, t)\n"
                    "Send(tostring(ok), type(message))" % cycle).text == "falsestring"


def test_serialize_survives_deep_nesting(web):
    """Deeper than Lua can parse: an error or a text, and never the end of the daemon."""
    assert web.main("""
        local t = {} for i = 1, 100000 do t = {t} end
        Send(type(pcall(lf.serialize, t)))""").text == "boolean"
    assert web.value("lf.serialize(1)") == "1"
