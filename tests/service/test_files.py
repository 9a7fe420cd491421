"""What `make install` puts where, and the files themselves."""

import os
import re
import subprocess
import tarfile

import pytest

from machine import SOURCE, make

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

PROGRAM = {"/usr/bin/luafcgid2", "/usr/share/luafcgid2/daemon.lua"}
SERVICE = {
    "/usr/lib/systemd/system/luafcgid2.service", "/usr/lib/systemd/system/luafcgid2.socket",
    "/usr/lib/tmpfiles.d/luafcgid2.conf", "/etc/init.d/luafcgid2",
    "/etc/logrotate.d/luafcgid2", "/etc/default/luafcgid2",
    "/usr/share/doc/luafcgid2/systemd/own-user.conf",
    "/usr/share/doc/luafcgid2/systemd/hardware.conf",
}
MANUAL = {"/usr/share/man/man8/luafcgid2.8", "/usr/share/man/man5/luafcgid2-config.5",
          "/usr/share/man/man3/luafcgid2-lua.3"}


def files(tree, directory):
    return set(tree.run("cd %s && find . -type f" % directory).out.replace("\n.", "\n")
               .lstrip(".").split())


@pytest.fixture
def destination(bare_tree):
    bare_tree.run("rm -rf /dest")
    yield "/dest"
    bare_tree.run("rm -rf /dest")


# -- Installing below another root --

def test_destdir_touches_nothing_else(bare_tree, destination):
    bare_tree.run("touch /stamp && sleep 0.02")
    make(bare_tree, "install install-daemon update DESTDIR=/dest")
    changed = bare_tree.run("find / -xdev -newer /stamp ! -type d ! -path '/dest/*' "
                            "! -path '%s/*'" % SOURCE).out.split()
    assert changed == []
    installed = files(bare_tree, destination)
    assert PROGRAM | SERVICE | MANUAL | {"/etc/luafcgid2/config.lua"} <= installed
    for name in sorted(installed):
        mode = bare_tree.run("stat -c %a /dest" + name).out.strip()
        program = name in ("/usr/bin/luafcgid2", "/etc/init.d/luafcgid2")
        assert mode == ("755" if program else "644"), name


def test_update_installs_the_program_and_no_more(bare_tree, destination):
    make(bare_tree, "update DESTDIR=/dest")
    installed = files(bare_tree, destination)
    assert PROGRAM <= installed
    assert not installed & (SERVICE | MANUAL)
    assert not any(name.startswith("/etc/") for name in installed)


def test_uninstall_below_another_root_keeps_the_configuration(bare_tree, destination):
    make(bare_tree, "install install-daemon DESTDIR=/dest")
    result = make(bare_tree, "uninstall DESTDIR=/dest")
    assert "kept: /dest/etc/luafcgid2" in result.out
    assert files(bare_tree, destination) == {"/etc/luafcgid2/config.lua",
                                             "/etc/default/luafcgid2"}


def test_other_places_and_another_user_are_put_into_the_files(bare_tree, destination):
    make(bare_tree, "install install-daemon DESTDIR=/dest PREFIX=/opt/lua SYSCONFDIR=/opt/etc "
                    "SERVICE_USER=lua")
    installed = files(bare_tree, destination)
    assert {"/opt/lua/bin/luafcgid2", "/opt/etc/luafcgid2/config.lua",
            "/opt/lua/lib/systemd/system/luafcgid2.service"} <= installed
    unit = bare_tree.read("/dest/opt/lua/lib/systemd/system/luafcgid2.service")
    assert "\nExecStart=/opt/lua/bin/luafcgid2 -c /opt/etc/luafcgid2/config.lua\n" in unit
    assert "\nUser=lua\n" in unit
    script = bare_tree.read("/dest/opt/etc/init.d/luafcgid2")
    assert "\nDAEMON=/opt/lua/bin/luafcgid2\n" in script
    assert "\nWRAPPER=/opt/lua/share/luafcgid2/daemon.lua\n" in script
    assert "\nDAEMON_USER=lua\n" in script


@pytest.mark.parametrize("name", ["/etc/luafcgid2/config.lua", "/etc/default/luafcgid2",
                                  "/etc/logrotate.d/luafcgid2"])
def test_configuration_is_never_overwritten(bare_tree, destination, name):
    beside = {"/etc/luafcgid2/config.lua": "/etc/luafcgid2/config.lua.new",
              "/etc/default/luafcgid2": "/etc/luafcgid2/default.new",
              "/etc/logrotate.d/luafcgid2": "/etc/luafcgid2/logrotate.new"}[name]
    make(bare_tree, "install install-daemon DESTDIR=/dest")
    reference = bare_tree.read("/dest" + name)
    make(bare_tree, "install install-daemon DESTDIR=/dest")
    assert not bare_tree.exists("/dest" + beside), "there although nothing differs"
    bare_tree.write("/dest" + name, "-- mine\n")
    result = make(bare_tree, "install install-daemon DESTDIR=/dest")
    assert "keeping /dest" + name in result.out
    assert bare_tree.read("/dest" + name) == "-- mine\n"
    assert bare_tree.read("/dest" + beside) == reference


def test_dist_has_what_git_has(tmp_path):
    def git(*arguments):
        return subprocess.run(("git", "-C", TOP) + arguments, stdout=subprocess.PIPE,
                              encoding="utf-8", check=False)
    if git("rev-parse", "--verify", "-q", "HEAD").returncode != 0:
        pytest.skip("only a commit can be packed")
    clone = str(tmp_path / "clone")
    subprocess.run(["git", "clone", "-q", TOP, clone], check=True)
    subprocess.run(["make", "-C", clone, "-s", "dist"], check=True)
    packed = [name for name in os.listdir(clone) if name.endswith(".tar.gz")]
    assert len(packed) == 1 and re.fullmatch(r"luafcgid2-[0-9.]+\.tar\.gz", packed[0])
    prefix = packed[0][:-len(".tar.gz")] + "/"
    with tarfile.open(os.path.join(clone, packed[0])) as archive:
        names = {m.name[len(prefix):] for m in archive.getmembers() if m.isfile()}
        assert all(m.name.startswith(prefix) or m.name + "/" == prefix
                   for m in archive.getmembers())
    assert names == set(git("ls-tree", "-r", "--name-only", "HEAD").stdout.split())


# -- The files themselves --

def test_systemd_finds_no_fault_in_the_units(tree):
    result = tree.run("systemd-analyze verify --man=yes "
                      "/usr/lib/systemd/system/luafcgid2.service "
                      "/usr/lib/systemd/system/luafcgid2.socket")
    assert "luafcgid2" not in result.out + result.err, result


def test_the_service_is_confined(tree):
    """The exposure that systemd reckons: 10 is everything, 0 nothing."""
    result = tree.run("systemd-analyze security --offline=yes --no-pager "
                      "/usr/lib/systemd/system/luafcgid2.service")
    found = re.search(r"exposure level for luafcgid2.service: ([0-9.]+)", result.out)
    assert found and float(found.group(1)) <= 1.5, result


def settings(tree, name):
    found = {}
    for line in tree.read("/usr/lib/systemd/system/" + name).splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def test_the_service_waits_longer_than_the_daemon_drains(tree):
    assert int(settings(tree, "luafcgid2.service")["TimeoutStopSec"][0]) > 30


def test_the_default_socket_is_not_hidden_from_the_web_server(tree):
    service = settings(tree, "luafcgid2.service")
    assert service["PrivateTmp"] == ["no"]
    assert "/var/tmp" in service["ReadWritePaths"]


@pytest.mark.parametrize("name", ["etc/init.d/luafcgid2", "etc/rc.d/luafcgid2",
                                  "etc/service.sh", "tests/service/run.sh",
                                  "tests/service/tree.sh", "tests/arm/run.sh",
                                  "tests/interop/run.sh"])
def test_shellcheck(name):
    subprocess.run(["shellcheck", "-x", name], cwd=TOP, check=True)


def test_the_rc_script_asks_rc_subr_for_what_it_should(tmp_path):
    """FreeBSD is not to be had here, so a stand-in shows what rc.subr would be given."""
    stand_in = tmp_path / "rc.subr"
    stand_in.write_text(
        "load_rc_config() { luafcgid2_enable=YES; }\n"
        "run_rc_command() { echo \"$1|$rcvar|$command|$command_args|$pidfile|"
        "$required_files|$sig_reload|$LUAFCGID2_CONFIG|$LUAFCGID2_USER\"; }\n")
    with open(os.path.join(TOP, "etc/rc.d/luafcgid2"), encoding="utf-8") as f:
        script = f.read().replace(". /etc/rc.subr", ". " + str(stand_in))
    out = subprocess.run(["sh", "-s", "start"], input=script, stdout=subprocess.PIPE,
                         encoding="utf-8", check=True).stdout.strip()
    wrapper = "/usr/local/share/luafcgid2/daemon.lua"
    config = "/usr/local/etc/luafcgid2/config.lua"
    assert out.split("|") == ["start", "luafcgid2_enable", "/usr/local/bin/luafcgid2",
                              "-c " + wrapper, "/var/run/luafcgid2/luafcgid2.pid",
                              config + " " + wrapper, "HUP", config, "www"]


@pytest.mark.parametrize("page", sorted(name for name in os.listdir(TOP + "/etc/man")))
def test_the_manual_is_clean(page):
    out = subprocess.run(["mandoc", "-Tlint", "-Wwarning", os.path.join(TOP, "etc/man", page)],
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                         encoding="utf-8", check=False).stdout
    assert out == ""


def test_the_manual_names_every_option_and_signal(tree):
    text = tree.run("man -E ascii 8 luafcgid2 | col -b").out
    usage = tree.run("luafcgid2 -h").out
    for option in re.findall(r"^  (-[a-z])\b", usage, re.MULTILINE):
        assert re.search(r"^ +%s\b" % option, text, re.MULTILINE), option
    for signal in ("TERM", "INT", "HUP", "USR1"):
        assert signal in text
