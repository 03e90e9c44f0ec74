"""An advisor where something is wrong with its caller, or where several loops and processes want it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import pytest
import trio
from attrs import frozen
from outcome import Outcome

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.message import Request
from treewarden.agents.errors import ConfigurationError
from treewarden.supervisor.advisor import Advice, Advisor
from treewarden.topologies.cli import main as treewarden
from treewarden.topologies.open import open_tree
from treewarden.topologies.tree import tree

EVENT: Final = {"type": "service_overload", "severity": 0.82, "cpu": 94, "memory": 88}
PATIENCE: Final = 60.0
FORKS: Final = 20
ASKERS: Final = 8
NOT_SECONDS: Final = (-1, float("nan"), "3", None, True)


@frozen
class Get(Request[int]):
    pass


class Number(Agent[int]):
    state = 7

    @handles
    async def get(self, message: Get) -> int:
        return self.state


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "api.db"


@pytest.mark.parametrize("within", NOT_SECONDS)
def test_a_limit_that_is_none_is_named_alike_everywhere(within: Any) -> None:
    async def everywhere(advisor: Advisor) -> None:
        for call in (advisor.process(EVENT, within=within), advisor.record_outcome("1.1", fixed=True, within=within)):
            with pytest.raises(ConfigurationError, match=r"within is .*; give seconds, 0 or more"):
                await call

    with Advisor() as advisor:
        trio.run(everywhere, advisor)
        asyncio.run(everywhere(advisor))
        with pytest.raises(ConfigurationError, match="within is"):
            advisor.process_sync(EVENT, within=within)
        with pytest.raises(ConfigurationError, match="within is"):
            advisor.record_outcome_sync("1.1", fixed=True, within=within)


@pytest.mark.parametrize("within", [float("inf"), 1e300])
def test_no_limit_is_one_too(within: float) -> None:
    with Advisor() as advisor:
        assert advisor.process_sync(EVENT, within=within).confidence == 0.78
        assert asyncio.run(advisor.process(EVENT, within=within)).confidence == 0.78
        assert trio.run(lambda: advisor.process(EVENT, within=within)).confidence == 0.78


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"journal": 5}, "journal is 5; give the name of a file"),
        ({"profile": "adaptive_runtime"}, "profile is 'adaptive_runtime'; give a Profile"),
    ],
)
def test_what_cannot_be_used_is_refused_before_anything_is_asked(options: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        Advisor(**options)


def test_an_outcome_is_of_an_advice_and_yes_or_no() -> None:
    with Advisor() as advisor:
        advice = advisor.process_sync(EVENT, within=PATIENCE)
        for wrong in ("no", None, 1):
            with pytest.raises(ConfigurationError, match=r"fixed is .*; say True or False"):
                advisor.record_outcome_sync(advice, fixed=wrong)  # pyright: ignore[reportArgumentType]
        nothing: tuple[Any, ...] = ([], None, 3)
        for wrong in nothing:
            with pytest.raises(ConfigurationError, match=r"advice is .*; give an advice, or its id"):
                advisor.record_outcome_sync(wrong, fixed=True)
        assert advisor.metrics()["outcomes"] == {}


def test_the_outcome_of_an_advice_that_could_not_be_made_teaches_nothing_and_raises_nothing() -> None:
    """The loop that is advised does the same each time, also where the advisor has failed."""
    advisor = Advisor()
    advisor.close()
    advice = advisor.process_sync(EVENT)
    assert advisor.record_outcome_sync(advice, fixed=True) is False
    with Advisor() as advisor:
        assert advisor.record_outcome_sync(advice, fixed=True, within=PATIENCE) is False
        assert asyncio.run(advisor.record_outcome(advice, fixed=True)) is False


def test_an_outcome_that_comes_too_late_raises_nothing(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    monkeypatch.setattr("treewarden.supervisor.advising._OPEN", 2)
    monkeypatch.setattr("treewarden.supervisor.advising._LESSONS", 5)
    with Advisor(journal=file) as advisor:
        first, *_, last = [advisor.process_sync(EVENT, within=PATIENCE) for _ in range(4)]
        assert advisor.record_outcome_sync(first, fixed=True, within=PATIENCE) is False
        assert advisor.record_outcome_sync(last, fixed=True, within=PATIENCE) is True
    with Advisor(journal=file) as advisor:
        assert advisor.record_outcome_sync(first.id, fixed=True, within=PATIENCE) is False
        for known in (last.id, "none"):
            with pytest.raises(ConfigurationError, match="waits for its outcome"):
                advisor.record_outcome_sync(known, fixed=True, within=PATIENCE)


class Hostile(dict[str, Any]):
    def items(self) -> Any:
        raise RuntimeError("not yours")


def test_an_event_that_raises_is_its_callers_mistake() -> None:
    with Advisor() as advisor, pytest.raises(ConfigurationError, match="cannot be read: RuntimeError: not yours"):
        advisor.process_sync(Hostile(type="timeout"))


def test_an_advice_in_words_says_what_it_is_worth() -> None:
    with Advisor() as advisor:
        said = str(advisor.process_sync(EVENT, within=PATIENCE))
    assert said == "restart_service 0.78 (confidence not calibrated): a fresh service gives resources back"


def test_each_advice_is_told_with_its_own_signal_and_its_end(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Advisor("api", journal=file) as advisor:
        advices = [
            advisor.process_sync({"type": kind, "severity": 0.1}, within=PATIENCE)
            for kind in ("timeout", "auth_failure", "degraded_service")
        ]
        assert advisor.record_outcome_sync(advices[0], fixed=True, within=PATIENCE)
        assert advisor.record_outcome_sync(advices[1], fixed=False, within=PATIENCE)
    assert treewarden(["why", str(file), "api", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["incidents"]
    assert [each["lines"][0]["data"]["kind"] for each in told] == [
        "timeout", "auth_failure", "degraded_service"
    ]  # fmt: skip
    assert [[line["kind"] for line in each["lines"]] for each in told] == [
        ["SignalNoted", "Decided", "OutcomeObserved"], ["SignalNoted", "Decided", "OutcomeObserved"],
        ["SignalNoted", "Decided"],
    ]  # fmt: skip
    assert [(each["outcome"], each["open"]) for each in told] == [("fixed", False), ("failed", False), ("", True)]
    assert treewarden(["why", str(file), "api"]) == 0
    assert ": open" in capsys.readouterr().out, "its outcome may still be told, also to the next process"


# -- in other loops and processes


async def as_a_guest(main: Callable[[], Awaitable[Any]]) -> Any:
    """Run trio inside of the asyncio loop that runs."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[Outcome[Any]] = loop.create_future()
    trio.lowlevel.start_guest_run(
        main, run_sync_soon_threadsafe=loop.call_soon_threadsafe, done_callback=ended.set_result
    )
    return (await ended).unwrap()


def test_a_guest_may_begin_and_end_it(file: Path) -> None:
    async def guest() -> Advice:
        async with Advisor("api", journal=file) as advisor:
            advice = await advisor.process(EVENT, within=PATIENCE)
            assert await advisor.record_outcome(advice, fixed=True, within=PATIENCE)
            return advice

    assert asyncio.run(as_a_guest(guest)).persisted


def test_a_guest_that_is_cancelled_leaves_it_to_its_host(file: Path) -> None:
    async def application() -> list[Advice]:
        scope = trio.CancelScope()
        async with Advisor("api", journal=file) as advisor:

            async def guest() -> None:
                with scope:
                    while True:
                        await advisor.process(EVENT, within=PATIENCE)

            running = asyncio.ensure_future(as_a_guest(guest))
            before = [await advisor.process(EVENT, within=PATIENCE) for _ in range(3)]
            scope.cancel()
            await running
            return [*before, await advisor.process(EVENT, within=PATIENCE)]

    advices = asyncio.run(application())
    assert len({advice.id for advice in advices}) == 4
    assert all(advice.persisted for advice in advices)


def test_a_tree_may_be_the_guest_and_asyncio_advised(file: Path) -> None:
    async def guest() -> int:
        async with open_tree(tree(Number)) as running:
            return await running.ref("number").ask(Get())

    async def application() -> tuple[int, bool]:
        async with Advisor("api", journal=file) as advisor:
            number, advice = await asyncio.gather(as_a_guest(guest), advisor.process(EVENT, within=PATIENCE))
            return number, advice.persisted

    assert asyncio.run(application()) == (7, True)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Python's, about forks of processes with threads
def test_the_child_of_a_fork_is_advised_at_once_and_not_persisted(file: Path) -> None:
    with Advisor("api", journal=file) as advisor:
        assert advisor.process_sync(EVENT, within=PATIENCE).persisted
        child = os.fork()
        if not child:
            found = 1
            try:
                advice = advisor.process_sync(EVENT, within=PATIENCE)
                found = 0 if (advice.action, advice.persisted) == ("restart_service", False) else 2
            finally:
                os._exit(found)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert advisor.process_sync(EVENT, within=PATIENCE).persisted


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_threads_of_a_child_that_ask_at_once_are_all_advised() -> None:
    """One that came while another one began anew met what was left of the parent's thread, and was never answered."""
    with Advisor("api") as advisor:
        advisor.process_sync(EVENT, within=PATIENCE)
        for _ in range(FORKS):
            child = os.fork()
            if not child:
                found = 1
                try:
                    found = 0 if _asked_at_once(advisor) == ["restart_service"] * ASKERS else 2
                finally:
                    os._exit(found)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _asked_at_once(advisor: Advisor) -> list[str]:
    """What as many threads are advised that have come as far as their own event, all of them, before one goes on."""
    met = threading.Barrier(ASKERS)
    found: list[str] = []

    class Event(dict[str, Any]):
        def items(self) -> Any:
            met.wait()
            return super().items()

    def ask() -> None:
        advice = advisor.process_sync(Event(EVENT), within=PATIENCE)
        if advice.id:
            found.append(advice.action)

    sys.setswitchinterval(1e-6)
    threads = [threading.Thread(target=ask, daemon=True) for _ in range(ASKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    return found
