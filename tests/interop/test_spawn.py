"""Started by spawn-fcgi, which hands over a socket as standard input."""

import os
import subprocess

import fastcgi
import servers


def test_spawn_fcgi(site, scratch):
    """Listen = "fd:0": the socket is spawn-fcgi's, and stays when the daemon ends."""
    directory = scratch()
    address = os.path.join(directory, "s")
    log = os.path.join(directory, "log")
    config = os.path.join(directory, "config.lua")
    site.write("page.lua", "function main() Send('served, ', tostring(io.read(1))) end")
    with open(config, "w", encoding="ascii") as f:
        f.write('Listen = "fd:0"\nLogFilePath = "%s"\n' % log)
    with open(os.path.join(directory, "output"), "w+b") as output:
        process = subprocess.Popen(
            ["spawn-fcgi", "-n", "-s", address, "--", servers.BINARY, "-c", config],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            servers.wait_until(lambda: process.poll() is not None or "started" in servers.read(log),
                               "the daemon to start")
            assert process.poll() is None, servers.read(output.name)
            # A script that reads standard input finds its end, not the socket.
            response = fastcgi.request(address, site.params("page.lua"))
            assert (response.status, response.text) == (200, "served, nil")
            process.terminate()
            assert process.wait(servers.PATIENCE) == 0
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    assert os.path.exists(address)
