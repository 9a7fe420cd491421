"""Workers let the web server finish what it is at (sched(7))."""

import os
import sys

import pytest

from harm import threads

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="SCHED_BATCH is Linux's")

WORKERS = 3


def policies(daemon):
    """How each thread is scheduled."""
    threads(daemon)  # all of them run
    return sorted(os.sched_getscheduler(int(task))
                  for task in os.listdir("/proc/%d/task" % daemon.pid))


def test_workers_do_not_push_the_web_server_off_its_core(daemon):
    d = daemon(WorkerThreads=WORKERS)
    found = policies(d)
    assert found.count(os.SCHED_BATCH) == WORKERS
    assert found.count(os.SCHED_OTHER) == len(found) - WORKERS > 0


def test_a_chosen_policy_stays(daemon):
    d = daemon(WorkerThreads=WORKERS)
    d.stop()
    d.start(preexec_fn=lambda: os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0)))
    assert set(policies(d)) == {os.SCHED_IDLE}
