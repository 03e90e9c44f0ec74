"""`treewarden why` of journals that hold much more than what is asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from treewarden.agents.core.path import Path as SlotPath
from treewarden.supervisor.core.event import (
    Decided,
    FaultInjected,
    IncidentClosed,
    IncidentOpened,
    OutcomeObserved,
    SignalNoted,
)
from treewarden.supervisor.journal.port import Commit
from treewarden.topologies.cli import main as treewarden

from ..journals import on_disk

SLOW, OTHER = SlotPath("slow"), SlotPath("other")
INCIDENTS = 40
REPEATS = 30


def decided_of(path: SlotPath) -> Decided:
    return Decided(path=path, incident="", action="resume", confidence=0.5, model=0.5, policy="p", rule="r")


def facts() -> list[Any]:
    """Forty incidents of one slot, each with a fault before it and many reports in it, and outcomes of another slot."""
    found: list[Any] = [IncidentOpened(path=OTHER, incident="0.1", kind="crash")]
    for n in range(INCIDENTS):
        id = f"1.{n}"
        if n == INCIDENTS - 2:  # one that began long ago, of another slot, is still open
            found.append(evolve(decided_of(OTHER), incident="0.1"))
        found += [
            FaultInjected(path=SLOW, fault="slow"),
            IncidentOpened(path=SLOW, incident=id, kind="reported:slow"),
        ]
        decided = evolve(decided_of(SLOW), incident=id)
        found += [SignalNoted(path=SLOW, kind="slow", severity=0.1), decided] * REPEATS
        found.append(IncidentClosed(path=SLOW, incident=id, outcome="fixed"))
        found.append(
            OutcomeObserved(path=OTHER, incident="", action="restart", kind="crash", outcome="fixed", model=0.5)
        )
    return found


@pytest.fixture
async def long(tmp_path: Path) -> Path:
    file = tmp_path / "long.db"
    async with on_disk(file) as journal:
        await journal.commit(Commit(events=tuple((1e9 + n, fact) for n, fact in enumerate(facts()))))
    return file


@pytest.mark.parametrize("last", [1, 3, 20, 40, 100])
@pytest.mark.parametrize("path", ["slow", "/"])
async def test_the_last_ones_are_told_as_if_all_were_read(
    path: str, last: int, long: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert treewarden(["why", str(long), path, "--last", str(last), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    ids = [*(["0.1"] if path == "/" else []), *(f"1.{n}" for n in range(INCIDENTS))]
    shown = min(last, len(ids))
    assert told["earlier"] == len(ids) - shown
    assert [each["id"] for each in told["incidents"]] == ids[-shown:]
    for each in told["incidents"][-min(last, INCIDENTS) :]:
        kinds = [line["kind"] for line in each["lines"]]
        assert kinds == ["FaultInjected", *["SignalNoted", "Decided"] * REPEATS]
    cases = [each["rests_on"]["bin"]["cases"] for each in told["incidents"] if each["id"] != "0.1"]
    assert cases == pytest.approx([float(n) for n in range(INCIDENTS)][-len(cases) :], rel=0.01)


async def test_the_text_counts_what_came_again(long: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert treewarden(["why", str(long), "slow", "--last", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "(39 earlier incidents not shown; --last shows more)"
    assert sum(f"{REPEATS - 1} times more" in line for line in lines) == 1


@pytest.mark.parametrize(("options", "shown"), [((), 200), (("--lines", "7"), 7), (("--all",), 601)])
async def test_as_many_events_of_an_incident_are_shown_as_are_asked_for(
    options: tuple[str, ...], shown: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "long.db"
    opened = IncidentOpened(path=SLOW, incident="1.1", kind="reported:slow")
    loud = [SignalNoted(path=SLOW, kind="slow", severity=0.1), SignalNoted(path=SLOW, kind="loud", severity=0.9)]
    async with on_disk(file) as journal:
        noted = [opened, *loud * 300, evolve(decided_of(SLOW), incident="1.1")]
        await journal.commit(Commit(events=tuple((1e9 + n, fact) for n, fact in enumerate(noted))))
    assert treewarden(["why", str(file), "slow", "--json", *options]) == 0
    (incident,) = json.loads(capsys.readouterr().out)["incidents"]
    assert (len(incident["lines"]), incident["skipped"]) == (shown, 601 - shown)


def test_all_of_them_and_so_many_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert treewarden(["why", str(tmp_path / "long.db"), "slow", "--all", "--lines", "7"]) == 2
    assert "not allowed with argument" in capsys.readouterr().err
