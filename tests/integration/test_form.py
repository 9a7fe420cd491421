"""What a request brings: lf.query, lf.form, lf.field, lf.files, lf.header, lf.json."""

import ctypes
import json
import os
import stat
import subprocess
import sys
import tempfile

import pytest

import servers

BOUNDARY = "----WebKitFormBoundaryAbc"
MULTIPART = "multipart/form-data; boundary=" + BOUNDARY


def part(name, data, filename=None, content_type=None):
    disposition = 'form-data; name="%s"' % name
    if filename is not None:
        disposition += '; filename="%s"' % filename
    head = "--%s\r\nContent-Disposition: %s\r\n" % (BOUNDARY, disposition)
    if content_type:
        head += "Content-Type: %s\r\n" % content_type
    data = data.encode() if isinstance(data, str) else data
    return head.encode() + b"\r\n" + data + b"\r\n"


END = b"--" + BOUNDARY.encode() + b"--\r\n"


def multipart(*parts):
    return b"".join(parts) + END


def send(server, page, body, content_type=MULTIPART, **more):
    return server.post(page, body, CONTENT_TYPE=content_type, **more)


def serialized(server, expression, body=b"", content_type="", query=""):
    """What the expression gives in a script, as JSON would write it."""
    page = server.script("function main() return lf.json_encode(%s) end" % expression)
    response = server.request(page, "POST" if body else "GET", body, query,
                              CONTENT_TYPE=content_type)
    assert response.status == 200, response
    return json.loads(response.text)


URLENCODED = "application/x-www-form-urlencoded"


def test_query_is_parsed_once(web):
    page = web.script("function main() assert(lf.query() == lf.query()) "
                      "return lf.query().a[2] .. lf.query().b end")
    assert web.get(page, query="a=1&a=2+3&b=%C3%A4").text == "2 3ä"


def test_query_belongs_to_its_request(web):
    page = web.script("function main() local q = lf.query() local a = q.a q.a = 'x' return a end")
    assert [web.get(page, query="a=" + c).text for c in "12"] == ["1", "2"]


@pytest.mark.parametrize("content_type", [URLENCODED, URLENCODED + "; charset=UTF-8",
                                          "Application/X-WWW-Form-Urlencoded"])
def test_form_of_a_url_encoded_body(web, content_type):
    assert serialized(web, "lf.form()", b"a=1&b=x+y&a=%26&c", content_type) == {
        "a": ["1", "&"], "b": "x y", "c": ""}


def test_form_of_a_multipart_body(web):
    body = multipart(part("a", "1"), part("b", "x y\r\nz"), part("a", "&"), part("c", ""),
                     part("n%22m", "quote"), part("ä", "ö"))
    assert serialized(web, "lf.form()", body, MULTIPART) == {
        "a": ["1", "&"], "b": "x y\r\nz", "c": "", 'n"m': "quote", "ä": "ö"}


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/json", "multipart/mixed"])
def test_other_bodies_are_no_form(web, content_type):
    page = web.script("function main() return tostring(next(lf.form())) .. tostring(next(lf.files()))"
                      " .. Receive() end")
    assert web.post(page, b"a=1", CONTENT_TYPE=content_type).text == "nilnila=1"


def test_field_is_always_one_string(web):
    page = web.script("""function main()
        return table.concat({lf.field("a"), lf.field("q"), lf.field("no", "default"),
                             tostring(lf.field("no")), lf.field("both")}, "|") end""")
    for body, content_type in ((b"a=1&a=2&both=form", URLENCODED),
                               (multipart(part("a", "1"), part("a", "2"), part("both", "form")),
                                MULTIPART)):
        response = web.post(page, body, query="q=x&q=y&both=query", CONTENT_TYPE=content_type)
        assert response.text == "1|x|default|nil|form"


def test_field_without_a_name_is_an_error_that_says_so(web):
    page = web.script("function main() lf.field() end")
    assert web.get(page).status == 500
    web.expect_error("bad argument #1 to 'field'")


UPLOAD = """
function main()
    local out = {}
    for field, file in pairs(lf.files()) do
        for _, f in ipairs(type(file) == "table" and file or {file}) do
            out[#out + 1] = {field = field, name = f.name, size = f.size, type = f.type,
                             content = f:read(), rest = f:read(1)}
        end
    end
    table.sort(out, function(a, b) return a.field .. a.name < b.field .. b.name end)
    return lf.json_encode(out)
end"""


def test_files(web):
    body = multipart(part("title", "t"), part("one", b"\0\r\n--" + b"x" * 100000, "a.bin",
                                              "application/x-thing"),
                     part("many", "1", "1.txt", "text/plain"), part("many", "", "2.txt"),
                     part("none", "", "", "application/octet-stream"))
    got = json.loads(send(web, web.script(UPLOAD), body).text)
    assert [(f["field"], f["name"], f["size"], f["type"], len(f["content"])) for f in got] == [
        ("many", "1.txt", 1, "text/plain", 1),
        ("many", "2.txt", 0, "application/octet-stream", 0),
        ("one", "a.bin", 100005, "application/x-thing", 100005)]
    assert all("rest" not in f for f in got)


@pytest.mark.parametrize("sent, name", [
    ("a b.txt", "a b.txt"), ("ünïcödé ☃.txt", "ünïcödé ☃.txt"), ("../../etc/passwd", "passwd"),
    ("C:\\\\Users\\\\me\\\\x.doc", "x.doc"), ("C:\\Users\\me\\x.doc", "x.doc"), ("/", ""),
    ("..", "_"), (".", "_"), ("a/..", "_"), ("%22q%22.txt", '"q".txt'), ('\\"q\\".txt', '"q".txt'),
    (".htaccess", ".htaccess"), ("100%.txt", "100%.txt")])
def test_names_have_no_path(web, sent, name):
    got = json.loads(send(web, web.script(UPLOAD), multipart(part("f", "x", sent))).text)
    assert [f["name"] for f in got] == [name]


def test_a_file_is_read_in_pieces(web):
    page = web.script("""function main()
        local f = lf.files().f
        local out = {}
        for piece in function() return f:read(3) end do out[#out + 1] = piece end
        return table.concat(out, ",") .. "|" .. f:read() .. "|" .. f:read(0) end""")
    assert send(web, page, multipart(part("f", "abcdefgh", "x"))).text == "abc,def,gh||"


def uploads(directory):
    return [name for name in os.listdir(directory) if name.startswith("luafcgid2-")]


@pytest.fixture
def store(scratch):
    return scratch()


@pytest.fixture
def uploader(daemon, store):
    return daemon(UploadDir=store, MaxPostSize=1000, MaxUploadSize=1000000)


SEEN = """
function main()
    %s
    local list = io.popen("cd '%s' && stat -c %%a luafcgid2-* 2>&1")
    Send(list:read("a"))
    list:close()
    %s
end"""


def seen(store, before="lf.files()", after=""):
    """A script that sends the permissions of what is in UploadDir."""
    return SEEN % (before, store, after)


def test_uploads_are_private_and_removed_after_the_request(uploader, store):
    body = multipart(part("a", "1", "a"), part("b", "2", "b"))
    assert send(uploader, uploader.script(seen(store)), body).text == "600\n600\n"
    servers.wait_until(lambda: not uploads(store), "the uploads to be removed")


@pytest.mark.parametrize("after", ["error('on purpose')", "os.exit()",
                                   "local t = {} while true do t[#t + 1] = ('x'):rep(1e6) .. #t end"])
def test_uploads_are_removed_however_the_script_ends(uploader, store, after):
    uploader.any_errors = True
    page = uploader.script(seen(store, after=after))
    assert send(uploader, page, multipart(part("a", "1", "a"))).status in (200, 500)
    servers.wait_until(lambda: not uploads(store), "the uploads to be removed")


def test_uploads_of_a_body_that_is_cut_are_removed(uploader, store):
    page = uploader.script("function main() lf.files() end")
    body = part("a", "x" * 100000, "a")
    response = send(uploader, page, body, CONTENT_LENGTH=len(body) + 1000)
    assert response.status == 400
    servers.wait_until(lambda: not uploads(store), "the uploads to be removed")


def test_save_moves_the_file_with_the_permissions_of_a_new_one(uploader, store, scratch):
    target = scratch()
    page = uploader.script("""function main()
        local f = lf.files().f
        assert(f:read(2) == "ab")
        assert(f:save("%s/kept"))
        local again, message = f:save("%s/other")
        Send(tostring(again), message, f:read(), tostring(f.size))
        io.open("%s/new", "w"):close()
    end""" % (target, target, target))
    with open(target + "/kept", "w", encoding="ascii") as f:
        f.write("older and longer")
    response = send(uploader, page, multipart(part("f", "abc", "f")))
    assert response.text.startswith("nil%s/other: the file was saved before, as %s/kept" %
                                    (target, target)) and response.text.endswith("c3"), response
    assert servers.read(target + "/kept") == "abc"
    assert stat.S_IMODE(os.stat(target + "/kept").st_mode) == (
        stat.S_IMODE(os.stat(target + "/new").st_mode))
    assert sorted(os.listdir(target)) == ["kept", "new"] and not uploads(store)


def test_save_copies_to_another_file_system(uploader, site):
    if not os.path.isdir("/dev/shm") or os.stat("/dev/shm").st_dev == os.stat(site.root).st_dev:
        pytest.skip("there is no other file system")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
        path = os.path.join(other, "kept")
        page = uploader.script("function main() assert(lf.files().f:save('%s')) end" % path)
        content = os.urandom(300000)
        assert send(uploader, page, multipart(part("f", content, "f"))).status == 200
        with open(path, "rb") as f:
            assert f.read() == content
        assert os.listdir(other) == ["kept"]


def test_save_is_relative_to_the_script_and_says_why_not(uploader, site):
    page = uploader.script("function main() local f = lf.files().f "
                           "Send(select(2, f:save('no/such/dir')), '|', tostring(f:save('kept'))) end")
    response = send(uploader, page, multipart(part("f", "abc", "f")))
    assert response.text == site.path("no/such/dir") + ": No such file or directory|true"
    assert servers.read(site.path("kept")) == "abc"


@pytest.mark.parametrize("path", ["kept\\0.txt", ""])
def test_save_takes_no_path_that_the_system_would_cut(uploader, site, path):
    page = uploader.script("function main() return select(2, pcall(lf.files().f.save, "
                           "lf.files().f, '%s')) end" % path)
    assert "a path expected" in send(uploader, page, multipart(part("f", "abc", "f"))).text
    assert not os.path.exists(site.path("kept"))


def test_a_file_is_of_its_request(daemon, store):
    uploader = daemon(UploadDir=store, WorkerThreads=1, LuaMaxStates=1)
    page = uploader.script("function main() local old = kept kept = lf.files().f "
                           "return old and old:read() or 'first' end")
    body = multipart(part("f", "abc", "f"))
    assert send(uploader, page, body).text == "first"
    assert send(uploader, page, body).status == 500
    uploader.expect_error("this file belongs to a request that is over")


def test_uploads_may_be_larger_than_maxpostsize_and_memory(uploader):
    page = uploader.script("function main() return tostring(lf.files().f.size) end")
    uploader.reload(ScriptMemoryLimit=400000)
    assert send(uploader, page, multipart(part("f", b"x" * 900000, "f"))).text == "900000"


@pytest.mark.parametrize("known", [True, False])
def test_an_upload_that_is_too_large_is_a_413_that_names_the_limits(uploader, store, known):
    page = uploader.script("function main() lf.files() end")
    body = multipart(part("f", b"x" * 1100000, "f"))
    response = send(uploader, page, body) if known else send(
        uploader, page, [body[i:i + 30000] for i in range(0, len(body), 30000)])
    assert response.status == 413
    uploader.wait_log("413: the body is larger than MaxUploadSize; .*client_max_body_size")
    servers.wait_until(lambda: not uploads(store), "the uploads to be removed")


def test_a_form_that_is_received_keeps_to_maxpostsize(uploader):
    page = uploader.script("function main() return tostring(#Receive()) end")
    assert send(uploader, page, multipart(part("f", b"x" * 2000, "f"))).status == 413
    uploader.wait_log("413: the body is larger than MaxPostSize; .*client_max_body_size")
    assert send(uploader, page, multipart(part("f", b"x" * 200, "f"))).status == 200


def test_fields_beside_the_files_keep_to_maxpostsize(uploader):
    page = uploader.script("function main() lf.form() end")
    assert send(uploader, page, multipart(part("a", b"x" * 900))).status == 200
    assert send(uploader, page, multipart(part("a", b"x" * 600), part("b", b"x" * 600))).status == 413
    uploader.wait_log("413: the fields of the form, without its files, are larger than MaxPostSize")


def test_a_directory_that_cannot_be_written_is_the_servers_fault(uploader, store):
    os.rmdir(store)
    page = uploader.script("function main() lf.files() end")
    assert send(uploader, page, multipart(part("f", "x", "f"))).status == 500
    uploader.expect_error(r"an upload cannot be stored in .*: No such file or directory \(UploadDir\)")


@pytest.mark.parametrize("again", ["lf.files()", "lf.form()", "lf.field('f')", "lf.json()"])
def test_after_such_an_error_another_look_says_the_same(uploader, store, again):
    os.rmdir(store)
    page = uploader.script("function main() pcall(lf.files) %s end" % again)
    assert send(uploader, page, multipart(part("f", "x", "f"))).status == 500
    uploader.expect_error(r"an upload cannot be stored in .*: No such file or directory \(UploadDir\)")


def mount_small(directory):
    """Gives this process alone a file system of 64 KiB there."""
    libc = ctypes.CDLL(None, use_errno=True)
    new_namespace, private = 0x20000, 0x44000  # CLONE_NEWNS; MS_REC | MS_PRIVATE
    if (libc.unshare(new_namespace) != 0 or libc.mount(None, b"/", None, private, None) != 0 or
            libc.mount(b"none", directory.encode(), b"tmpfs", 0, b"size=65536") != 0):
        raise OSError(ctypes.get_errno(), "mount")


def may_mount(directory):
    return os.geteuid() == 0 and sys.platform == "linux" and subprocess.run(
        ["unshare", "-m", "mount", "-t", "tmpfs", "none", directory],
        stderr=subprocess.DEVNULL, check=False).returncode == 0


def test_a_full_disk_is_the_servers_fault_and_is_free_again(daemon, store):
    if not may_mount(store):
        pytest.skip("needs root and a mount namespace of its own")
    d = daemon(UploadDir=store, preexec_fn=lambda: mount_small(store))
    page = d.script("function main() return lf.files().f.size end")
    for _ in range(2):
        assert send(d, page, multipart(part("f", b"x" * 300000, "f"))).status == 500
        d.expect_error(r"an upload cannot be stored in .*: No space left on device \(UploadDir\)")
        assert send(d, page, multipart(part("f", b"x" * 50000, "f"))).text == "50000"
    assert d.main("local p = io.popen('ls -A %s') return p:read('a')" % store).text == ""


@pytest.mark.parametrize("body", [
    part("a", "1"), b"", b"--" + BOUNDARY.encode(), END[:-4] + b"x", part("a", "1")[:-2] + END,
    b"--" + BOUNDARY.encode() + b"\r\n\r\nno name\r\n" + END,
    b"--" + BOUNDARY.encode() + b"\r\nContent-Disposition: attachment; name=a\r\n\r\n\r\n" + END,
    b"--" + BOUNDARY.encode() + b"\r\nX: " + b"x" * 10000 + b"\r\n\r\n\r\n" + END])
def test_a_malformed_form_is_a_400(web, body):
    page = web.script("function main() lf.form() end")
    assert send(web, page, body).status == 400
    web.wait_log("400: the form is malformed: ")


def test_a_form_without_a_boundary_is_a_400(web):
    page = web.script("function main() lf.form() end")
    assert send(web, page, END, "multipart/form-data").status == 400


def test_a_malformed_form_stays_one_when_the_script_asks_again(web):
    page = web.script("function main() local ok, e = pcall(lf.form) "
                      "local again, f = pcall(lf.field, 'a') assert(not ok and e == f, f) Send(e) end")
    assert "malformed" in send(web, page, b"x").text


@pytest.mark.parametrize("content_type, body", [
    (MULTIPART, multipart(*[part("a", "1")] * 1001)), (URLENCODED, b"&".join([b"a=1"] * 1001)),
    (MULTIPART, multipart(*[part("a", "1", "f")] * 1001))])
def test_a_form_of_too_many_fields_is_a_400(web, content_type, body):
    page = web.script("function main() lf.form() end")
    assert send(web, page, body, content_type).status == 400
    web.wait_log("MaxFormFields")


@pytest.mark.parametrize("content_type, body", [
    (MULTIPART, multipart(*[part("a", "1")] * 1001)), (URLENCODED, b"&".join([b"a=1"] * 1001))])
def test_a_form_of_too_many_fields_stays_one(web, content_type, body):
    page = web.script("function main() local ok, e = pcall(lf.form) "
                      "local again, f = pcall(lf.files) assert(not ok and e == f, f) Send(e) lf.field('a') end")
    assert send(web, page, body, content_type).status == 400
    web.wait_log("400: a form of more than 1000 fields")


def test_a_body_that_was_received_is_no_form_any_more(web):
    page = web.script("function main() Receive(1) lf.form() end")
    assert web.post(page, b"a=1").status == 500
    web.expect_error("lf.form: the body has been read already")


def test_a_form_leaves_the_connection_in_order(web):
    page = web.script("function main() return lf.files().f:read() end")
    body = multipart(part("f", "abc", "f"))
    with web.connect() as c:
        for _ in range(3):
            params = web.site.params(page, "POST", "", body, CONTENT_TYPE=MULTIPART)
            c.begin(params, keep=True).body(body)
            c.end()
            assert c.response().text == "abc"


# -- Headers --

def test_header_by_its_name_in_any_case(web):
    page = web.script("""function main() return table.concat({
        lf.header("accept-LANGUAGE"), tostring(lf.header("X-None")), lf.header("content-type"),
        lf.header("Content-Length"), "[" .. lf.header("X-Empty") .. "]",
        tostring(lf.header("Proxy")), tostring(lf.header("QUERY_STRING"))}, "|") end""")
    assert web.post(page, b"abc", CONTENT_TYPE="text/x", HTTP_ACCEPT_LANGUAGE="de", HTTP_X_EMPTY="",
                    HTTP_PROXY="evil").text == "de|nil|text/x|3|[]|nil|nil"
    assert web.value('lf.header("Content-Type")') == "nil"


# -- JSON --

LIBRARIES = {
    "cjson": "package.preload.dkjson = function() error('not this one') end",
    "dkjson": "package.preload.cjson = function() error('not this one') end",
}


@pytest.fixture(params=LIBRARIES)
def library(request):
    if os.system("lua5.3 -e \"require '%s'\" 2>/dev/null" % request.param):
        pytest.skip("lua-%s is not installed" % request.param)
    return LIBRARIES[request.param]


def json_page(web, library, code):
    return web.script("%s\nfunction main() %s end" % (library, code))


def test_json_there_and_back(web, library):
    page = json_page(web, library, "assert(lf.json() == lf.json()) "
                     "return lf.json_encode{lf.json(), lf.json().list[2] == lf.null}")
    value = {"a": "\u00e4\n", "list": [1, None, 2.5, True, False, "x"], "o": {"k": {}}}
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False), json.dumps(value, indent=1)):
        response = web.post(page, text.encode(), CONTENT_TYPE="application/json")
        got = json.loads(response.text)
        assert got[1] is True and got[0]["a"] == value["a"] and got[0]["list"] == value["list"]


@pytest.mark.parametrize("text, expected", [
    ("false", "false"), ("null", "true"), ("17", "17"), (' "x" ', '"x"'), ("[]", "table")])
def test_json_of_any_value(web, library, text, expected):
    page = json_page(web, library, "local v = lf.json() if type(v) == 'table' then return 'table' end "
                     "if v == lf.null then return 'true' end return lf.json_encode(v)")
    assert web.post(page, text.encode()).text == expected


@pytest.mark.parametrize("text", ["", "{", "[1", "{} x", "nope", '"\\ud800'])
def test_a_body_that_is_no_json_is_a_400(web, library, text):
    page = json_page(web, library, "lf.json()")
    response = web.post(page, text.encode())
    assert response.status == 400, response
    web.wait_log("400: the body is no JSON: ")


def test_what_json_cannot_hold_is_the_scripts_fault(web, library):
    assert web.get(json_page(web, library, "lf.json_encode{print}")).status == 500
    web.expect_error("function")


def test_json_without_a_library_says_what_to_install(web):
    page = json_page(web, " ".join(LIBRARIES.values()), "lf.json()")
    assert web.post(page, b"1").status == 500
    web.expect_error("JSON needs a library that is not installed: lua-cjson, or lua-dkjson")
