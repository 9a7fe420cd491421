"""`luafcgid2 -h`, the reference config.lua and luafcgid2-config(5) tell the same story: the
same options in the same order, with the same older names, defaults and values. The first
comes from the table that the daemon itself goes by."""

import os
import re
import shutil
import subprocess

import pytest

from servers import BINARY, ROOT

MAN = os.path.join(ROOT, "etc/man/luafcgid2-config.5")
REFERENCE = os.path.join(ROOT, "config.lua")


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def run(*arguments, **more):
    return subprocess.run([BINARY, *arguments], capture_output=True, text=True, timeout=60,
                          **more)


@pytest.fixture(scope="module")
def help_text():
    done = run("-h")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture(scope="module")
def options(help_text):
    """name -> {older, default, values, restart, help}, as -h has them."""
    found = {}
    for match in re.finditer(
            r"^([ *]) (\w+) +(\S+) +(\S.*) \((.*)\)\n {6}(\S.*)$", help_text, re.M):
        star, name, older, default, values, text = match.groups()
        assert name not in found
        found[name] = {"older": None if older == "-" else older, "default": default,
                       "values": values, "restart": star == "*", "help": text}
    lines = re.findall(r"^[ *] ([A-Z]\w+) ", help_text, re.M)
    assert lines == ["Name"] + list(found) and len(found) > 50
    return found


@pytest.fixture(scope="module")
def reference():
    """name -> (default, the comment and heading that it belongs to) of config.lua."""
    found, comment, used = {}, [], False
    for line in read(REFERENCE).split("\n"):
        match = re.match(r"(?:-- )?([A-Z]\w+) = (.*)$", line)
        if match:
            found[match[1]] = (match[2], " ".join(comment))
            used = True
        elif line.startswith("--"):
            if used:
                comment, used = [], False
            comment.append(line.lstrip("- "))
        elif used:
            comment, used = [], False
    return found


@pytest.fixture(scope="module")
def manual():
    """name -> (its facts, its text) of the man page, both as plain text."""
    page = read(MAN)
    section = page[page.index(".Sh OPTIONS"):page.index(".Sh FILES")]
    found = {}
    for block in re.split(r"^\.It Va ", section, flags=re.M)[1:]:
        name, _, rest = block.partition("\n")
        plain = re.sub(r"^\.(Li|Va|Xr|Ql|Fn) ", "", rest, flags=re.M)
        plain = plain.replace("\\(dq", '"').replace("\\e", "\\").replace("\\-", "-")
        plain = re.sub(r" ([;.,])$", r"\1", plain, flags=re.M)
        plain = re.sub(r"^\.(El|Bl|It|Ss|Sh|Pa).*$", "", plain, flags=re.M)
        facts, end, text = plain.replace("\n", " ").partition(". ")
        assert end
        found[name] = (facts, text)
    return found


def test_every_document_has_the_same_options_in_the_same_order(options, reference, manual):
    assert list(reference) == list(options)
    assert list(manual) == list(options)


def test_defaults_are_the_same(options, reference, manual):
    for name, option in options.items():
        assert reference[name][0] == option["default"], name
        assert "default %s" % option["default"] in manual[name][0], name
        rest = manual[name][0].partition("default " + option["default"])[2]
        assert rest == "" or rest.startswith(";"), name


def test_values_are_the_same(options, reference, manual):
    for name, option in options.items():
        facts = manual[name][0]
        assert facts.lower().startswith(option["values"].lower() + "; default"), name
        if re.match(r"-?\d+ to \d+", option["values"]):
            numbers = re.match(r"-?\d+ to \d+", option["values"])[0]
            assert numbers in reference[name][1], name
            unit = option["values"][len(numbers):].strip()
            assert unit in reference[name][1], name


def test_choices_are_all_named(options, reference, manual):
    for name in ("LogLevel", "SessionCookieSameSite"):
        for choice in options[name]["values"].split(", "):
            quoted = '"%s"' % choice.strip('"')
            assert quoted in reference[name][1], (name, choice)


def test_older_names_are_the_same(options, reference, manual):
    for name, option in options.items():
        older = option["older"]
        said = re.search(r"older name (\w+)", manual[name][0])
        assert (said[1] if said else None) == older, name
        named = re.findall(r"<(\w+)>", reference[name][1])
        assert (older in named) if older else True, name
    everywhere = set(re.findall(r"<(\w+)>", read(REFERENCE)))
    assert everywhere == {o["older"] for o in options.values() if o["older"]}


def test_what_needs_a_restart_is_the_same(options, reference, manual):
    for name, option in options.items():
        assert ("needs a restart" in manual[name][0]) == option["restart"], name
        assert ("[restart]" in reference[name][1]) == option["restart"], name


def test_every_option_is_explained(options, reference, manual):
    for name, option in options.items():
        assert option["help"], name
        assert len(reference[name][1]) > 30, name
        assert len(manual[name][1].split()) >= 4, name


def test_help_fits_80_columns(help_text):
    assert [line for line in help_text.split("\n") if len(line) > 80] == []


def test_older_names_of_the_table_are_those_of_luafcgid(options):
    assert {name: option["older"] for name, option in options.items() if option["older"]} == {
        "Listen": "listen", "WorkerThreads": "workers", "LuaMaxStates": "clones",
        "LuaTotalStates": "states", "LuaMaxSearchRetries": "retries",
        "LuaMaxRequests": "maxcount", "HeadersSize": "headersize", "BodySize": "bodysize",
        "MinFileInfoTime": "sweep", "DefaultHeaders": "headers",
        "DefaultHttpStatus": "httpstatus", "DefaultContentType": "contenttype",
        "Buffering": "buffering", "MaxPostSize": "maxpost", "ShowErrors": "showerrors",
        "LogFilePath": "logfile", "Entrypoint": "handler", "Backlog": "backlog",
        "Daemonize": "daemonize", "Watchdog": "watchdog"}


def test_reference_loads_without_a_word(tmp_path):
    shutil.copy(REFERENCE, tmp_path / "config.lua")
    done = run("-t", "-c", "config.lua", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_reference_with_every_comment_removed_loads_too(tmp_path):
    """Entrypoint is the one line that is a comment; it must be right nevertheless."""
    text = read(REFERENCE).replace("-- Entrypoint", "Entrypoint")
    assert text != read(REFERENCE)
    (tmp_path / "config.lua").write_text(text, encoding="utf-8")
    done = run("-t", "-c", "config.lua", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_each_line_of_the_reference_is_really_read(options, tmp_path):
    """Each option of config.lua, set to a function, or to a table where it is to be one, is
    refused by that name."""
    for name, option in options.items():
        wrong = ("{}", "a table") if option["values"] == "function" else ("print", "a function")
        (tmp_path / "config.lua").write_text("%s = %s\n" % (name, wrong[0]), encoding="utf-8")
        done = run("-t", "-c", "config.lua", cwd=tmp_path)
        assert done.returncode == 1, name
        assert re.match(r"config\.lua: %s: expected .*, got %s" % (name, wrong[1]),
                        done.stderr), done.stderr


def test_examples_of_the_manual_load(tmp_path):
    page = read(MAN)
    blocks = re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed", page, re.M | re.S)
    examples = [b.replace("\\e", "\\") for b in blocks if re.match(r"(Listen =|local |function )", b)]
    assert len(examples) == 5
    for example in examples:
        example = example.replace('"/var/www"', '"/"')
        (tmp_path / "config.lua").write_text(example, encoding="utf-8")
        done = run("-t", "-c", "config.lua", cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not shutil.which("mandoc"), reason="mandoc is not installed")
def test_manual_is_clean():
    done = subprocess.run(["mandoc", "-Tlint", "-Wwarning", MAN], capture_output=True,
                          text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
