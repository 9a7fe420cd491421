"""luafcgid2-tutorial(7) as what it asks its reader to do: files to save, commands to type.

Whatever the page displays is one or the other. The name of a file stands before it; a
command begins with a dollar sign, and what it prints is below it.
"""

import os
import re

PAGE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                    "etc/man/luafcgid2-tutorial.7")
DISPLAY = re.compile(r"^\.Bd -literal -offset indent\n(.*?)^\.Ed\n", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"\n\.Pa (\S+)(?: :|(?: ,)?\n.*:)\n\Z")  # the last of what stands before it
COMMAND = re.compile(r"^\$ (.*(?:\n {6}.*)*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
PUBLIC = "THE PUBLIC SERVER"


class File:
    def __init__(self, section, name, text):
        self.section, self.name, self.text = section, name, text


class Command:
    def __init__(self, section, text, output):
        self.section, self.text, self.output = section, text, output

    def check(self, printed):
        """... stands for anything within a line."""
        wanted = re.escape(self.output).replace(r"\.\.\.", ".*")
        assert re.fullmatch(wanted, printed), "%s\nprinted\n%s\ninstead of\n%s" % (
            self.text, printed, self.output)


def steps():
    """All of them, in the order of the page."""
    with open(PAGE, encoding="ascii") as f:
        page = f.read()
    found = []
    for display in DISPLAY.finditer(page):
        before = page[:display.start()]
        section = re.findall(r"^\.Sh (.*)$", before, re.MULTILINE)[-1]
        text = re.sub(r"^\\&", "", display.group(1), flags=re.MULTILINE).replace("\\e", "\\")
        if text.startswith("$ "):
            commands = list(COMMAND.finditer(text))
            assert "".join(c.group(0) for c in commands) == text, text
            found += [Command(section, *c.groups()) for c in commands]
        else:
            name = NAMED.search(before)
            assert name, "no file is named before\n" + text
            found.append(File(section, name.group(1), text))
    return found
