"""What `make install` puts where, and the files themselves."""

import glob
import os
import re
import subprocess
import sys
import tarfile

import pytest

from machine import SOURCE, make

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

PROGRAM = {"/usr/bin/luafcgid2", "/usr/share/luafcgid2/daemon.lua",
           "/usr/share/luafcgid2/lua51.lua"}
SERVICE = {
    "/usr/lib/systemd/system/luafcgid2.service", "/usr/lib/systemd/system/luafcgid2.socket",
    "/usr/lib/tmpfiles.d/luafcgid2.conf", "/etc/init.d/luafcgid2",
    "/etc/logrotate.d/luafcgid2", "/etc/default/luafcgid2",
    "/usr/share/doc/luafcgid2/systemd/own-user.conf",
    "/usr/share/doc/luafcgid2/systemd/hardware.conf",
}
MANUAL = {"/usr/share/man/man8/luafcgid2.8", "/usr/share/man/man8/luafcgid2-serve.8",
          "/usr/share/man/man5/luafcgid2-config.5",
          "/usr/share/man/man3/luafcgid2-lua.3", "/usr/share/man/man7/luafcgid2-tutorial.7"}


def files(tree, directory):
    return set(tree.run("cd %s && find . ! -type d" % directory).out.replace("\n.", "\n")
               .lstrip(".").split())


@pytest.fixture
def destination(bare_tree):
    bare_tree.run("rm -rf /dest")
    yield "/dest"
    bare_tree.run("rm -rf /dest")


# -- Building --

@pytest.fixture
def packages(bare_tree):
    """packages(NAME=VERSION): pkg-config knows these of Lua, and nothing else."""
    def make_files(**known):
        for name, version in known.items():
            bare_tree.write("/packages/%s.pc" % name,
                            "Name: Lua\nDescription: Lua\nVersion: %s\n"
                            "Cflags: -I/from/%s\nLibs: -lfrom-%s\n" % (version, name, name))
        commands = bare_tree.run("cd %s && PKG_CONFIG_LIBDIR=/packages make -n BUILD=/build "
                                 "BINARY=/build/luafcgid2" % SOURCE).out
        compiled = [line for line in commands.splitlines() if " -c " in line]
        linked = commands.splitlines()[-1]
        assert compiled
        return (set(re.findall(r"-I(?!/build/)(/\S+)", "\n".join(compiled))),
                set(re.findall(r"-l(\S*lua\S*|from\S*)", linked)))
    yield make_files
    bare_tree.run("rm -rf /packages")


@pytest.mark.parametrize("name", ["lua5.3", "lua-5.3", "lua53", "lua"])
def test_lua_is_found_under_its_names(packages, name):
    assert packages(**{name: "5.3.6"}) == ({"/from/" + name}, {"from-" + name})


def test_another_lua_is_not_taken_for_it(packages):
    assert packages(lua="5.4.4", lua53="5.3.3") == ({"/from/lua53"}, {"from-lua53"})


def test_without_pkg_config_the_usual_names_are_tried(packages, bare_tree):
    assert packages() == ({"/usr/include/lua5.3"}, {"lua5.3"})
    make(bare_tree, "-s -j2 WERROR=1 PKG_CONFIG=/none BUILD=/tmp/plain BINARY=/tmp/plain/it")
    assert bare_tree.run("/tmp/plain/it -v && rm -r /tmp/plain").out.startswith("luafcgid2")


@pytest.mark.parametrize("target", ["all", "check", "check-unit", "bench", "clean", "dist",
                                    "install", "install-daemon", "update", "uninstall"])
def test_make_knows(bare_tree, target):
    assert make(bare_tree, "-n " + target).out


def test_clean_leaves_what_was_there_before(bare_tree):
    bare_tree.run("cp -a %s /copy && cd /copy && make -s clean" % SOURCE)
    try:
        assert bare_tree.run("diff -rq %s /copy" % SOURCE, check=False).out.splitlines() == [
            "Only in %s: %s" % (SOURCE, name) for name in (".build", "luafcgid2")]
    finally:
        bare_tree.run("rm -r /copy")


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
        mode = bare_tree.run("stat -Lc %a /dest" + name).out.strip()
        program = name.startswith("/usr/bin/") or name == "/etc/init.d/luafcgid2"
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


def test_a_service_needs_its_user(bare_tree):
    result = bare_tree.run("cd %s && make install-daemon SERVICE_USER=nosuch" % SOURCE,
                           check=False)
    assert result.status != 0 and "there is no user nosuch here" in result.err
    assert not bare_tree.exists("/etc/init.d/luafcgid2")


def test_single_places_can_be_chosen(bare_tree, destination):
    make(bare_tree, "install install-daemon DESTDIR=/dest BINDIR=/opt/bin CONFDIR=/srv/lua")
    assert {"/opt/bin/luafcgid2", "/srv/lua/config.lua"} <= files(bare_tree, destination)
    assert "\nExecStart=/opt/bin/luafcgid2 -c /srv/lua/config.lua\n" in bare_tree.read(
        "/dest/usr/lib/systemd/system/luafcgid2.service")
    make(bare_tree, "uninstall DESTDIR=/dest BINDIR=/opt/bin CONFDIR=/srv/lua")
    assert files(bare_tree, destination) == {"/srv/lua/config.lua", "/etc/default/luafcgid2"}


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


SHELL = sorted(os.path.relpath(name, TOP) for pattern in (
    "etc/init.d/*", "etc/rc.d/*", "etc/*.sh", "scripts/*.sh", "tests/*/*.sh")
    for name in glob.glob(os.path.join(TOP, pattern)))


@pytest.mark.parametrize("name", SHELL)
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


# -- Packages that are fetched --

def test_a_service_that_is_not_wanted_is_not_enabled_where_systemd_does_not_run(bare_tree):
    """Not for the next boot either, and also if the package has no init script."""
    try:
        done = bare_tree.run("sh %s/scripts/install-packages.sh -s caddy caddy" % SOURCE)
        assert "The service caddy is not started." in done.out
        assert not bare_tree.exists("/etc/init.d/caddy")
        assert bare_tree.run("systemctl is-enabled caddy", check=False).out == "disabled\n"
    finally:
        bare_tree.run("apt-get -q -y purge caddy")


# -- These tests: where they can't run, and what they need --

def test_what_cannot_be_done_here_is_skipped_loudly_but_never_in_ci():
    script = '. "%s/tests/service/tree.sh"; skip "no kernel"; echo went on' % TOP
    for ci, status in (("", 0), ("true", 1)):
        done = subprocess.run(["sh", "-c", script], env=dict(os.environ, CI=ci),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              encoding="utf-8", check=False)
        assert (done.returncode, done.stdout) == (status, "")
        assert ("FAILED" if ci else "NOTHING WAS TESTED: no kernel") in done.stderr


def test_a_machine_that_does_not_boot_is_noticed(tmp_path):
    """The kernel's refusal, as systemd-nspawn puts it."""
    refusal = "Failed to create namespace: Operation not permitted"
    fake = tmp_path / "systemd-nspawn"
    fake.write_text("#!/bin/sh\necho '%s'\nexit 1\n" % refusal)
    fake.chmod(0o755)
    done = subprocess.run(
        [sys.executable, os.path.join(TOP, "tests/service/machine.py"), str(tmp_path / "tree")],
        env=dict(os.environ, PATH="%s:%s" % (tmp_path, os.environ["PATH"])),
        stderr=subprocess.PIPE, encoding="utf-8", check=False)
    assert done.returncode == 77 and refusal in done.stderr


def programs(directory, **scripts):
    """An environment in which these shell scripts are found before the real programs."""
    for name, script in scripts.items():
        fake = directory / name
        fake.write_text("#!/bin/sh\n%s\n" % script)
        fake.chmod(0o755)
    pause = directory / "sleep"  # what is tried again need not wait
    pause.write_text("#!/bin/sh\n")
    pause.chmod(0o755)
    return dict(os.environ, PATH="%s:%s" % (directory, os.environ["PATH"]),
                LUAFCGID2_CACHE=str(directory / "cache"))


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_a_tree_is_of_the_suite_that_is_asked_for(tmp_path, suite):
    environment = programs(tmp_path, debootstrap='echo "$@"; exit 1')
    script = 'top=%s; . "$top/tests/service/tree.sh"; make_tree plain' % TOP
    done = subprocess.run(["sh", "-c", script], env=dict(environment, SUITE=suite),
                          stderr=subprocess.PIPE, encoding="utf-8", check=False)
    tree = "%s/cache/%s-base.new" % (tmp_path, suite)
    assert done.stderr.startswith("--variant=minbase %s %s http" % (suite, tree))
    assert done.stderr.count("--variant=minbase") == 3  # the mirror may fail once


def test_a_tree_is_made_although_the_mirror_fails_at_first(tmp_path):
    environment = programs(
        tmp_path,
        debootstrap='mkdir -p "$3/etc/dpkg/dpkg.cfg.d"; echo x >>%s/calls; '
                    'test "$(wc -l <%s/calls)" -gt 1' % (tmp_path, tmp_path),
        chroot='case $* in *" update") echo x >>%s/updates; '
               'test "$(wc -l <%s/updates)" -gt 2 ;; esac' % (tmp_path, tmp_path))
    script = 'top=%s; . "$top/tests/service/tree.sh"; make_tree plain make; echo "$tree"' % TOP
    done = subprocess.run(["sh", "-c", script], env=dict(environment, SUITE="trixie"),
                          stdout=subprocess.PIPE, encoding="utf-8", check=True)
    assert done.stdout.endswith("%s/cache/trixie-plain\n" % tmp_path)


APT = """
echo "$@" >>%(place)s/calls
case " $* " in
*" -s "*|*" --print-uris "*) test -e %(place)s/known ;;
*" install "*) test -e %(place)s/works && : >%(place)s/installed; : >%(place)s/works
    test -e %(place)s/installed ;;
esac
"""


def install(place):
    """The exit status of install-packages.sh, and how often it tried to install."""
    place.joinpath("calls").write_text("")
    environment = programs(place, **{
        "apt-get": APT % {"place": place}, "id": "echo 0",
        "dpkg-query": "test -e %s/installed && echo installed" % place})
    done = subprocess.run(["sh", os.path.join(TOP, "scripts/install-packages.sh"), "some-package"],
                          env=environment, check=False)
    calls = place.joinpath("calls").read_text().splitlines()
    return done.returncode, len([c for c in calls if " install " in c and "-s" not in c.split()
                                 and "--print-uris" not in c])


def test_packages_are_asked_for_again_when_the_mirror_fails_once(tmp_path):
    (tmp_path / "known").touch()
    assert install(tmp_path) == (0, 2)
    assert install(tmp_path) == (0, 0)  # which is there already


def test_a_package_that_is_in_no_list_is_not_asked_for_again(tmp_path):
    assert install(tmp_path) == (1, 1)


@pytest.mark.parametrize("asked, left_out", [
    (["armel"], ["armhf", "arm64", "aarch64"]),
    (["arm64", "armhf"], ["armel", "gnueabi "]),
    ([], [])])
def test_arm_installs_only_the_architectures_it_is_asked_for(tmp_path, asked, left_out):
    environment = programs(tmp_path, debootstrap='mkdir -p "$3/etc/dpkg/dpkg.cfg.d"',
                           chroot='echo "$@"; case $* in *" install "*) exit 1 ;; esac')
    done = subprocess.run(["sh", os.path.join(TOP, "tests/arm/run.sh"), *asked], env=environment,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8",
                          check=False)
    assert done.returncode == 1 and " install " in done.stderr
    for architecture in asked or ["armel", "armhf", "arm64"]:
        assert "--add-architecture %s\n" % architecture in done.stderr
        assert "liblua5.3-dev:%s" % architecture in done.stderr
    for name in left_out:
        assert name not in done.stderr


def test_arm_knows_a_wrong_architecture_before_it_installs_anything(tmp_path):
    environment = programs(tmp_path, debootstrap="echo called")
    done = subprocess.run(["sh", os.path.join(TOP, "tests/arm/run.sh"), "armel", "arm"],
                          env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          encoding="utf-8", check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "not an architecture: arm;" in done.stderr


def test_fixtures_are_found_from_any_directory():
    """From pytest 8 on only what a pytest.ini stands above of is looked through for them."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--fixtures",
         os.path.join(TOP, "tests/interop")], cwd="/",
        stdout=subprocess.PIPE, encoding="utf-8", check=False)
    assert done.returncode == 0 and "\nscratch -- " in done.stdout
    assert "configfile: pytest.ini" in done.stdout
