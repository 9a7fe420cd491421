"""luafcgid2-tutorial(7), followed from its first line to its last where nothing is installed."""

import re
import shlex
import time

import tutorial
from machine import wait_until

CONFIG = "/etc/luafcgid2/config.lua"
SITE = "http://127.0.0.1"


class Reader:
    """The user pi, in the directory that he has gone to."""

    def __init__(self, machine):
        self.machine, self.cwd = machine, "/home/pi"

    def types(self, text):
        """What it prints. A cd is for the commands that follow, too."""
        self.machine.write("/tmp/step", text + "\npwd >/tmp/place\n")
        self.machine.run("rm -f /tmp/place")
        printed = self.machine.run(
            "cd %s && setpriv --reuid=pi --regid=pi --init-groups "
            "env HOME=/home/pi USER=pi bash -e /tmp/step" % shlex.quote(self.cwd), timeout=900).out
        self.cwd = self.machine.read("/tmp/place").strip()
        return printed

    def follow(self, step):
        if isinstance(step, tutorial.File):
            path = "%s/%s" % (self.cwd, step.name)
            self.machine.write(path, step.text)
            self.machine.run("chown pi: " + path)
        elif step.text == "luafcgid2-serve":
            self.types("setsid luafcgid2-serve </dev/null >/tmp/serve.log 2>&1 &")
            wait_until(lambda: "Ctrl-C stops it" in self.machine.read("/tmp/serve.log"),
                       "the site to be served")
        elif "certbot" in step.text:
            # There is no such name in the world, and so no certificate for it.
            if "apt-get" in step.text:
                self.types("apt-cache show " + step.text.split(" install ")[1])
        else:
            printed = self.types(step.text)
            if step.output:
                step.check(printed)
        if "reload-or-restart nginx" in step.text:
            # It returns before nginx's new workers have taken over.
            wait_until(lambda: "visitor" in self.machine.get("/")[1], "the site on port 80")


def log_in(reader):
    """As a browser does. The lines of the answer's head."""
    form = reader.types("rm -f jar; curl -sc jar %s/login.lua" % SITE)
    token = re.search(r'name="csrf" value="([^"]+)"', form).group(1)
    return reader.types("curl -sib jar -c jar -d action=login -d name=ada -d csrf=%s "
                        "--data-urlencode 'password=a long secret' %s/login.lua" %
                        (token, SITE)).splitlines()


def test_from_the_first_line_to_the_last(tutorial_machine, capsys):
    machine, reader = tutorial_machine, Reader(tutorial_machine)
    took = []
    for step in tutorial.steps():
        began = time.monotonic()
        reader.follow(step)
        took.append((time.monotonic() - began, step.text))
    with capsys.disabled():
        print("\n%s\n%6.1f s  in all" % (
            "\n".join("%6.1f s  %s" % step for step in took if step[0] > 1),
            sum(seconds for seconds, _ in took)))

    # The service is another user's, who can change nothing of the site.
    user, group = machine.property("User"), machine.property("Group")
    assert (user, group) == ("luafcgid2", "www-data")
    assert machine.run("stat -c %U:%a /run/luafcgid2/luafcgid2.sock").out == "luafcgid2:660\n"
    assert machine.run("find /var/www/example.org -user luafcgid2 -o -perm /022").out == ""
    assert machine.run("systemctl is-enabled luafcgid2 nginx").out == "enabled\nenabled\n"
    assert machine.run("su -s /bin/sh nobody -c 'cat /var/www/example.org/lib/users.lua'",
                       check=False).status != 0

    # The session that a login makes outlives a restart of the service.
    reader.cwd = "/home/pi"
    assert log_in(reader)[0] == "HTTP/1.1 303 See Other"
    machine.run("systemctl restart luafcgid2")
    assert "You are ada." in reader.types("curl -sb jar %s/login.lua" % SITE)

    # An upload over nginx's usual limit goes through, to where only the daemon can read.
    reader.types(r"{ printf '\211PNG\r\n'; head -c 3000000 /dev/zero; } >big.png")
    token = re.search(r'name="csrf" value="([^"]+)"',
                      reader.types("curl -sb jar %s/upload.lua" % SITE)).group(1)
    answer = reader.types("curl -sib jar -F csrf=%s -F picture=@big.png %s/upload.lua" %
                          (token, SITE))
    assert re.search(r"^HTTP/1.1 303 ", answer, re.MULTILINE), answer
    reader.types("curl -s %s/picture.lua | cmp - big.png" % SITE)
    assert machine.run("stat -c %U:%a /var/lib/luafcgid2").out == "luafcgid2:700\n"
    assert "luafcgid2/picture" in reader.types("tar -tzf luafcgid2-data.tar.gz; "
                                               "sudo ls -d /var/lib/luafcgid2/picture")

    # logrotate and the boot know the new user, too.
    machine.run("logrotate -f /etc/logrotate.d/luafcgid2 || true; systemd-tmpfiles --create")
    assert machine.run("stat -c %U /run/luafcgid2").out == "luafcgid2\n"
    assert reader.types("curl -s %s/ | grep -c visitor" % SITE) == "1\n"
