"""The advisor beside applications of three kinds, and what it does when it cannot do its work."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any, Final

import pytest
import trio
from outcome import Outcome

from treewarden.agents.errors import ConfigurationError
from treewarden.supervisor.advisor import Advice, Advisor
from treewarden.supervisor.core.adaptive_runtime import ACTIONS, adaptive_runtime
from treewarden.supervisor.core.event import Decided, IncidentClosed, OutcomeObserved, SignalNoted
from treewarden.supervisor.core.rule_table import Rule
from treewarden.supervisor.core.symptom import Risk
from treewarden.supervisor.journal.reading import JournalFile

EVENT: Final = {"type": "service_overload", "severity": 0.82, "cpu": 94, "memory": 88}
PATIENCE: Final = 60.0


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "api.db"


async def test_beside_trio(file: Path) -> None:
    async with Advisor("api", journal=file) as advisor:
        advice = await advisor.process(EVENT, within=PATIENCE)
        assert (advice.action, advice.confidence, advice.priority) == ("restart_service", 0.78, "high")
        assert advice.reason == "a fresh service gives resources back"
        assert advice.persisted
        assert await advisor.record_outcome(advice, fixed=True, within=PATIENCE)
        better = await advisor.process(EVENT, within=PATIENCE)
        assert (better.confidence, better.evidence) == (0.8, pytest.approx(1.0))
        assert advisor.metrics()["outcomes"] == {"fixed": 1}
    assert advisor.trouble == ""


def test_beside_asyncio(file: Path) -> None:
    async def application() -> tuple[Advice, bool]:
        async with Advisor("api", journal=file) as advisor:
            advice = await advisor.process(EVENT, within=PATIENCE)
            return advice, await advisor.record_outcome(advice.id, fixed=False, within=PATIENCE)

    advice, recorded = asyncio.run(application())
    assert (advice.action, advice.persisted, recorded) == ("restart_service", True, True)


def test_beside_trio_as_a_guest_of_asyncio(file: Path) -> None:
    async def application() -> list[Advice]:
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[Outcome[Advice]] = loop.create_future()
        async with Advisor("api", journal=file) as advisor:

            async def guest() -> Advice:
                return await advisor.process(EVENT, within=PATIENCE)

            trio.lowlevel.start_guest_run(
                guest, run_sync_soon_threadsafe=loop.call_soon_threadsafe, done_callback=ended.set_result
            )
            return [await advisor.process(EVENT, within=PATIENCE), (await ended).unwrap()]

    advices = asyncio.run(application())
    assert sorted(advice.id for advice in advices) == ["1.1", "1.2"]
    assert all(advice.persisted for advice in advices)


def test_beside_plain_code(file: Path) -> None:
    with Advisor("api", journal=file) as advisor:
        advice = advisor.process_sync(EVENT, within=PATIENCE)
        assert advice.persisted
        assert advisor.record_outcome_sync(advice, fixed=True, within=PATIENCE)


def test_from_many_threads_at_once(file: Path) -> None:
    found: list[Advice] = []

    def application() -> None:
        found.extend(advisor.process_sync(EVENT, within=PATIENCE) for _ in range(20))

    with Advisor("api", journal=file) as advisor:
        threads = [threading.Thread(target=application) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert advisor.metrics()["advices"] == 100
    assert len({advice.id for advice in found}) == 100
    assert all(advice.persisted for advice in found)


def test_what_was_learnt_is_there_again(file: Path) -> None:
    with Advisor("api", journal=file) as advisor:
        open_one = advisor.process_sync(EVENT, within=PATIENCE)
        for _ in range(3):
            last = advisor.process_sync(EVENT, within=PATIENCE)
            advisor.record_outcome_sync(last, fixed=False, within=PATIENCE)
    with Advisor("other", journal=file) as other:
        assert other.process_sync(EVENT, within=PATIENCE).confidence == 0.78
    with Advisor("api", journal=file) as advisor:
        advice = advisor.process_sync(EVENT, within=PATIENCE)
        assert advice.action == "throttle_requests"
        assert advisor.metrics()["outcomes"] == {"failed": 3}
        assert advisor.record_outcome_sync(open_one.id, fixed=True, within=PATIENCE)
        with pytest.raises(ConfigurationError, match="waits for its outcome"):
            advisor.record_outcome_sync(open_one, fixed=True, within=PATIENCE)
        with pytest.raises(ConfigurationError, match="waits for its outcome"):
            advisor.record_outcome_sync("none", fixed=True, within=PATIENCE)


def test_the_journal_holds_the_reasons(file: Path) -> None:
    with Advisor("api", journal=file) as advisor:
        advice = advisor.process_sync({**EVENT, "region": "eu", "deep": {"er": [1, None]}}, within=PATIENCE)
        advisor.record_outcome_sync(advice, fixed=True, within=PATIENCE)
    with JournalFile.open(file) as journal:
        noted, decided, observed, closed = [record.event for record in journal.records()]
    assert isinstance(noted, SignalNoted)
    assert noted.facts["region"] == "eu"
    assert noted.facts["deep"] == {"er": [1, None]}
    assert isinstance(decided, Decided)
    assert (decided.action, decided.confidence, decided.policy) == ("restart_service", 0.78, "adaptive_runtime")
    assert [one.action for one in decided.rejected] == [one.action for one in advice.rejected]
    assert isinstance(observed, OutcomeObserved)
    assert (observed.kind, observed.outcome) == ("resource_pressure", "fixed")
    assert isinstance(closed, IncidentClosed)
    assert (closed.incident, closed.outcome) == (advice.id, "fixed")


@pytest.mark.parametrize("event", [{}, {"type": "timeout", "severity": -1}, {"type": "timeout", "cpu": 900}])
async def test_an_event_that_cannot_be_read_is_its_callers_mistake(event: dict[str, Any]) -> None:
    async with Advisor() as advisor:
        with pytest.raises(ConfigurationError, match="the event cannot be judged: "):
            await advisor.process(event)
        with pytest.raises(ConfigurationError, match="the event cannot be judged: "):
            advisor.process_sync(event)


def test_without_a_journal_nothing_is_persisted_and_much_is_learnt() -> None:
    with Advisor() as advisor:
        advice = advisor.process_sync(EVENT, within=PATIENCE)
        assert not advice.persisted
        assert not advisor.record_outcome_sync(advice, fixed=True, within=PATIENCE)
        assert advisor.process_sync(EVENT, within=PATIENCE).confidence == 0.8


async def test_a_journal_that_cannot_be_used_is_no_reason_to_fail(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Advisor("first", journal=file) as owner:
        assert owner.process_sync(EVENT, within=PATIENCE).persisted
        async with Advisor("second", journal=file) as advisor:
            advice = await advisor.process(EVENT, within=PATIENCE)
            assert (advice.action, advice.persisted) == ("restart_service", False)
            assert "is owned by" in advisor.trouble
    assert "advices are not persisted" in caplog.text


async def test_no_answer_in_time_is_an_advice_too() -> None:
    blocked, free = threading.Event(), threading.Event()

    def wall() -> float:
        blocked.set()
        free.wait(PATIENCE)
        return 1.0

    advisor = Advisor(wall=wall)
    try:
        advice = await advisor.process(EVENT, within=0.01)
        assert (advice.action, advice.confidence, advice.id) == ("monitor_and_wait", 0.0, "")
        assert advice.reason == "the advisor did not answer within 0.01 s; confidence 0"
        assert advisor.process_sync(EVENT, within=0.01).id == ""
    finally:
        free.set()
        await trio.to_thread.run_sync(advisor.close)


def test_a_bug_inside_is_an_advice_too(caplog: pytest.LogCaptureFixture) -> None:
    def wall() -> float:
        raise RuntimeError("no clock")

    with Advisor(wall=wall) as advisor:
        advice = advisor.process_sync(EVENT, within=PATIENCE)
    assert advice.action == "monitor_and_wait"
    assert advice.reason == "the advisor failed: RuntimeError('no clock'); confidence 0"
    assert "the advisor failed" in caplog.text


def test_after_its_end_it_answers_by_the_fallback() -> None:
    advisor = Advisor()
    advisor.close()
    advice = advisor.process_sync(EVENT)
    assert (advice.action, advice.reason) == ("monitor_and_wait", "the advisor is closed; confidence 0")
    assert advisor.record_outcome_sync("1.1", fixed=True) is False


def test_a_name_that_can_be_no_slot_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="'a b' cannot name a slot"):
        Advisor("a b")


def test_a_profile_of_ones_own() -> None:
    profile = adaptive_runtime(
        [Rule("unknown_solar_flare", "page_me", Risk.MEDIUM, reason="satellites")], actions={**ACTIONS, "page_me": 0.9}
    )
    with Advisor(profile=profile) as advisor:
        advice = advisor.process_sync({"type": "solar_flare", "severity": 1, "cpu": 90}, within=PATIENCE)
    assert (advice.action, advice.confidence, advice.reason) == ("page_me", 0.9, "satellites")
