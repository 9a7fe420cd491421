"""What wrk and nginx cannot do: half a request, many scripts, an exact number of requests
over one kept connection. The records are those of tests/fastcgi.py."""

from fastcgi import STDIN, Connection, head, record


def parameters(site, script):
    """What nginx's fastcgi_params and wrk's request amount to."""
    return {
        "SCRIPT_FILENAME": f"{site}{script}", "QUERY_STRING": "", "REQUEST_METHOD": "GET",
        "CONTENT_TYPE": "", "CONTENT_LENGTH": "", "SCRIPT_NAME": script,
        "REQUEST_URI": script, "DOCUMENT_URI": script, "DOCUMENT_ROOT": site,
        "SERVER_PROTOCOL": "HTTP/1.1", "REQUEST_SCHEME": "http",
        "GATEWAY_INTERFACE": "CGI/1.1", "SERVER_SOFTWARE": "nginx/1.22.1",
        "REMOTE_ADDR": "127.0.0.1", "REMOTE_PORT": "40000", "REMOTE_USER": "",
        "SERVER_ADDR": "127.0.0.1", "SERVER_PORT": "8080", "SERVER_NAME": "localhost",
        "REDIRECT_STATUS": "200", "HTTP_HOST": "127.0.0.1",
    }


def request(params, keep):
    """All bytes of a request without a body."""
    return head(params, keep) + record(STDIN)


def response(connection):
    """The next response, head and body."""
    got = connection.response()
    if not got.ended:
        raise ConnectionError("closed before the end of the response")
    return got.raw


def ask(path, message):
    """One request on a connection of its own; the response, head and body."""
    with Connection(path) as c:
        return response(c.send(message))


def ask_often(path, message, count):
    """`count` requests, one after the other, on one kept connection; the last response."""
    with Connection(path, 60) as c:
        for _ in range(count):
            last = response(c.send(message))
    return last
