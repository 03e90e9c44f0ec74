"""What the kit has found in treewarden, as the least that showed it: each of these failed once."""

from __future__ import annotations

import pytest

from treewarden.topologies.chaos.run import Setting, run_world
from treewarden.topologies.chaos.subjects import SUBJECTS
from treewarden.topologies.core.faults import Injection

SLOW = Injection("slow", "*", 0.0, knobs={"seconds": 1.0})


@pytest.mark.parametrize(
    "subject", ["pool/round_robin/message", "pool/shared/message", "topic/message", "nested/message"]
)
@pytest.mark.parametrize("at", [0.0, 0.06, 0.3])
def test_what_a_worker_has_in_hand_outlives_its_supervisor(subject: str, at: float) -> None:
    """Seed 64: the message in hand of a worker whose supervisor was killed waited for the next process."""
    killed = (SLOW, Injection("kill_supervisor", "*", at))
    run = run_world(SUBJECTS[subject].run, 64, Setting(within=2.0), injections=killed)
    assert (run.failures, run.faults.get("slow"), run.faults.get("kill_supervisor")) == ((), 1, 1)


@pytest.mark.parametrize(
    ("subject", "seed"), [("topic/message", 8), ("pool/least_loaded/message", 35), ("pool/round_robin/message", 64)]
)
def test_it_keeps_its_place_over_a_crash(subject: str, seed: int) -> None:
    """Seeds 8 and 35: with a crash of the process after that, later messages were handled before it."""
    faults = (SLOW, Injection("kill_supervisor", "*", 0.1), Injection("crash", "*", 0.4, knobs={"down": 1.0}))
    run = run_world(SUBJECTS[subject].run, seed, Setting(within=2.0), injections=faults)
    assert (run.failures, run.faults.get("crash")) == ((), 1)
