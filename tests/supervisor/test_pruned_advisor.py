"""An advisor whose old events were given up: it has learned what they taught."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from treewarden.supervisor.advisor import Advisor
from treewarden.topologies.cli import main

EVENT: Final = {"type": "service_overload", "severity": 0.82, "cpu": 94, "memory": 88}
PATIENCE: Final = 60.0


def test_what_was_learned_from_events_that_are_gone_counts(tmp_path: Path) -> None:
    file = tmp_path / "api.db"
    with Advisor("api", journal=file) as advisor:
        early = advisor.process_sync(EVENT, within=PATIENCE)
        for _ in range(20):
            advice = advisor.process_sync(EVENT, within=PATIENCE)
            assert advisor.record_outcome_sync(advice, fixed=True, within=PATIENCE)
        learned = advisor.process_sync(EVENT, within=PATIENCE)
    assert main(["journal", "prune", str(file), "--keep-events", "1"]) == 0
    with Advisor("api", journal=file) as advisor:
        again = advisor.process_sync(EVENT, within=PATIENCE)
        assert (again.confidence, again.evidence) == (learned.confidence, learned.evidence)
        assert not advisor.record_outcome_sync(early, fixed=True, within=PATIENCE), "it was given, and is forgotten"
        assert advisor.record_outcome_sync(again, fixed=False, within=PATIENCE)
        worse = advisor.process_sync(EVENT, within=PATIENCE)
        assert worse.confidence < again.confidence
