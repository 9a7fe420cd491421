"""Whatever a test of this directory has done to a daemon, the daemon then serves a healthy
request, and lets go of every connection."""

import pytest

import peers


def recovers(daemon):
    peers.healthy(daemon)
    peers.wait_idle(daemon)


@pytest.fixture
def web(web):
    yield web
    recovers(web)


@pytest.fixture
def daemon(daemon):
    started = []

    def make(**options):
        started.append(daemon(**options))
        return started[-1]
    yield make
    for one in started:
        assert one.running(), one.stderr()
        recovers(one)
