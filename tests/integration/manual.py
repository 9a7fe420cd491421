"""What a reader of a manual page has: its chapters, and the commands and examples in them."""

import os
import re
import shutil
import subprocess

from servers import ROOT


def rendered(name):
    """The page as mandoc, or else groff, shows it, without bold and underlined letters."""
    path = os.path.join(ROOT, "etc/man", name)
    render = (["mandoc", "-Tutf8"] if shutil.which("mandoc") else
              ["groff", "-mandoc", "-t", "-Tutf8"])
    done = subprocess.run(render + [path], check=False, timeout=60, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL)
    return re.sub(r".\x08|\x1b\[[0-9;]*m", "", done.stdout.decode())


def sections(page, chapter):
    """Headline -> text of each section of a chapter."""
    text = re.search(r"^%s\n(.*?)^\S" % chapter, page, re.M | re.S).group(1)
    parts = re.split(r"^   (\S.*)\n", text, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def examples(text):
    """The displayed texts, without their indentation."""
    blocks, block = [], []
    for line in text.splitlines() + [""]:
        if line.startswith(" " * 9):
            block.append(line)
        elif block:
            indent = min(len(one) - len(one.lstrip()) for one in block)
            blocks.append([one[indent:] for one in block])
            block = []
    return blocks


def is_whole(command):
    """Whether a shell needs no further line."""
    return not command.endswith("\\") and subprocess.run(
        ["sh", "-nc", command], check=False, stderr=subprocess.DEVNULL).returncode == 0


def commands(text):
    """(command, the lines that it prints) of each that the text shows after a `$`."""
    found = []
    for block in examples(text):
        for line in block:
            if line.startswith("$ "):
                found.append([line[2:], []])
            elif found and not found[-1][1] and not is_whole(found[-1][0]):
                found[-1][0] += "\n" + line
            elif found and block[0].startswith("$ "):
                found[-1][1].append(line)
    return [(command, lines) for command, lines in found]


def expressions(text):
    """Those that are for Prometheus."""
    return [one for block in examples(text) if "luafcgid2_" in block[0]
            for one in re.split(r"\n(?! )", "\n".join(block))]
