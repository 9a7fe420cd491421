"""A client that keeps the cookie of its session."""

import re

import servers

NAME = "XLuaSession"


def cookies(response, name=NAME):
    """Every value that the response gives the cookie."""
    found = [re.fullmatch(r"%s=([^;]*)(;.*)?" % re.escape(name), value)
             for value in response.all("Set-Cookie")]
    return [match.group(1) for match in found if match]


class Browser:
    """A client that keeps the session's cookie, as a browser does."""

    def __init__(self, daemon, key=None, name=NAME, **params):
        self.daemon, self.key, self.name, self.params = daemon, key, name, params
        self.keys = []  # all that it ever was given

    def serve(self, page, query="", **params):
        if self.key is not None:
            params["HTTP_COOKIE"] = "%s=%s" % (self.name, self.key)
        response = self.daemon.get(page, query, **{**self.params, **params})
        for line in response.all("Set-Cookie"):
            assert line.startswith(self.name + "="), response
        for key in cookies(response, self.name):
            self.key = key or None
            self.keys += [key] if key else []
        return response

    def do(self, body, **params):
        """The text that a handler with this body answers with."""
        page = self.daemon.script("function main(env, con)\n%s\nend" % body)
        response = self.serve(page, **params)
        assert response.status == 200, response
        return response.text

    def value(self, expression, **params):
        return self.do("return tostring(%s)" % expression, **params)

    def set(self, value, key="k", realm="r"):
        """Stores a Lua expression; what SetVar says of it."""
        return self.value("Session.SetVar(%s, %s, %s)" % (
            servers.lua(realm), servers.lua(key), value))

    def get(self, key="k", realm="r"):
        return self.value("Session.GetVar(%s, %s)" % (servers.lua(realm), servers.lua(key)))

    def started(self):
        """Itself, with a session."""
        assert self.value("Session.Start()") == "true"
        assert self.key
        return self
