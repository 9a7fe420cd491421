"""A response that ends early, after a flush, looks whole to nobody.

Its visitor can tell by the length, or by the missing last chunk. What none of it is asked
of, because nothing that the daemon sends makes a difference: over HTTP/1.0 a response
without a length ends where the connection does; Caddy ends the chunks in order, whatever
happened; lighttpd counts what it has before it sends the head, which with
stream-response-body = 0 is all, and else what comes within the first moment; Apache drops
a script's length, and has only chunks."""

import http.client
import os

import pytest

import servers
import webservers

PAGES = {
    "error": "function main() %s Send('part') Flush() error('late') end",
    "time": "function main() %s Send('part') Flush() while true do end end",
    "download": "function main() %s while true do Send(('x'):rep(100000)) Flush() "
                "for i = 1, 100000 do end end end",
}
LENGTH = "Header('Content-Length', '100000000000')"


class Nginx(webservers.Nginx):
    """In the shortest form that works, as its users have it."""

    more = ""  # text of the location

    def configuration(self):
        return """
            fastcgi_cache_path {directory}/cache keys_zone=lua:1m;
            server {{
                listen 127.0.0.1:{port};
                location ~ \\.lua$ {{
                    fastcgi_pass   unix:{socket};
                    fastcgi_param  SCRIPT_FILENAME  $document_root$fastcgi_script_name;
                    include        /etc/nginx/fastcgi_params;
                    root           {root};
                    {more}
                }}
            }}""".format(more=self.more, **self.values())


class NginxUnbuffered(Nginx):
    more = "fastcgi_buffering off;"


class NginxUnbufferedKept(webservers.Nginx):
    changes = webservers.Nginx.changes + (
        (r"fastcgi_keep_conn  on;", "fastcgi_keep_conn on; fastcgi_buffering off;"),)


class NginxCached(Nginx):
    more = ("fastcgi_cache lua; fastcgi_cache_key $request_uri; fastcgi_cache_valid any 1h; "
            "add_header X-Cache $upstream_cache_status always;")


class LighttpdBuffered(webservers.Lighttpd):
    changes = webservers.Lighttpd.changes + ((r"^server.stream-response-body = 1",
                                              "server.stream-response-body = 0"),)


FORMS = [(web, web) for web in webservers.ALL if web.keeps] + [
    (webservers.Nginx, form) for form in (Nginx, NginxUnbuffered, NginxUnbufferedKept,
                                          NginxCached)] + [(webservers.Lighttpd, LighttpdBuffered)]


def cases(form):
    """(page, version of HTTP) for which its visitors can tell."""
    if form not in (webservers.Caddy, LighttpdBuffered):
        yield from ((page, 11) for page in PAGES
                    if form is not webservers.Lighttpd or page != "error")
    if form is not webservers.Apache:
        yield from (("error-length", 11), ("error-length", 10), ("download-length", 11))


CASES = [(web, form, page, version) for web, form in FORMS for page, version in cases(form)]


@pytest.fixture(scope="module")
def front(request, module_scratch):
    form = request.param
    site = servers.Site(os.path.join(module_scratch(), "www"))
    for name, source in PAGES.items():
        site.write(name + ".lua", "n = 0\n" + source % "")
        site.write(name + "-length.lua", source % LENGTH)
    daemon = servers.Daemon(module_scratch(), site, ListenMode="0666", RequestTimeout=0.3)
    daemon.any_errors = True
    with webservers.in_front(form, module_scratch(), daemon) as running:
        yield running


def is_told(front, path, version):
    """Whether the client can tell that the response is not whole."""
    connection = front.connect()
    connection._http_vsn, connection._http_vsn_str = version, "HTTP/%.1f" % (version / 10)
    try:
        connection.request("GET", path, headers={
            "Host": "127.0.0.1:%d" % front.port, "Connection": "close"})
        response = connection.getresponse()
        while response.read(65536):
            pass
    except (http.client.HTTPException, ConnectionError):
        return True
    finally:
        connection.close()
    # Of reads that have a size http.client says nothing when the rest is missing.
    return response.status >= 500 or bool(response.length)


@pytest.mark.parametrize(
    "server, front, page, version", CASES, indirect=["front"], scope="module",
    ids=["%s-%s-%d" % (form.__name__, page, version) for _, form, page, version in CASES])
def test_early_end(server, front, page, version, record_property):
    """early end is seen"""
    assert is_told(front, "/%s.lua" % page, version)
    if server is webservers.Caddy:
        record_property("table", "by length")


@pytest.mark.parametrize("front", [NginxCached], indirect=True)
@pytest.mark.parametrize("page", ["error", "time"])
def test_early_end_is_not_kept_in_a_cache(front, page):
    site = front.daemon.site
    name = page + "-again.lua"
    site.write(name, PAGES[page] % "")
    assert is_told(front, "/" + name, 11)
    site.write(name, "function main() return 'whole' end")

    def comes():
        try:
            return front.request("/" + name).body == b"whole"
        except http.client.HTTPException:  # the old one once more
            return False
    servers.wait_until(comes, "the new page from the daemon")
    assert front.request("/" + name).header("X-Cache") == "HIT", "no cache at all"
