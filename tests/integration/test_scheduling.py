"""Workers let the web server finish what it is at (sched(7))."""

import os
import sys

import pytest

from harm import threads

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="SCHED_BATCH is Linux's")

WORKERS = 3


def policies(daemon, policy):
    """How each thread of a daemon is scheduled that is started with `policy`."""
    d = daemon(WorkerThreads=WORKERS, preexec_fn=lambda: os.sched_setscheduler(
        0, policy, os.sched_param(0)))
    threads(d)  # all of them run
    found = [os.sched_getscheduler(int(task)) for task in os.listdir("/proc/%d/task" % d.pid)]
    assert len(found) > WORKERS
    return found


def test_workers_do_not_push_the_web_server_off_its_core(daemon):
    found = policies(daemon, os.SCHED_OTHER)
    assert found.count(os.SCHED_BATCH) == WORKERS
    assert found.count(os.SCHED_OTHER) == len(found) - WORKERS


def test_a_chosen_policy_stays(daemon):
    assert set(policies(daemon, os.SCHED_IDLE)) == {os.SCHED_IDLE}
