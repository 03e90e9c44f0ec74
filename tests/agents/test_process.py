"""An agent with a process of its own: real processes, real signals."""

from __future__ import annotations

import json
import math
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
from typing import Any

import pytest
import trio
from attrs import frozen

from treewarden.agents.agent import handles
from treewarden.agents.core.diagnosis import Diagnosis
from treewarden.agents.core.message import Request
from treewarden.agents.errors import AgentFailed, ConfigurationError, ProcessDied
from treewarden.agents.process import DIAGNOSIS, Call, ProcessAgent, how_it_ended, process, told
from treewarden.agents.process_child import __file__ as CHILD
from treewarden.supervisor.core.event import ChildEnded
from treewarden.supervisor.core.spec import NO_BACKOFF, ChildSpec, RestartPolicy
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.topologies.child import child

from .trees import events, happened, opened, slot_of

HERE = "in_process"
LONG = 30.0


@pytest.fixture(autouse=True)
def on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(pathlib.Path(__file__).parent), *sys.path])


def working(name: str, **options: Any) -> ChildSpec:
    return child(process(f"{HERE}:{name}", id="worker"), backoff=NO_BACKOFF, **options)


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def gone(pid: int) -> None:
    with trio.fail_after(LONG):
        while lives(pid):  # noqa: ASYNC110  # of another process nobody tells
            await trio.sleep(0.01)


async def test_a_function_is_called_in_another_process() -> None:
    async with opened(working("pid")) as running:
        with trio.fail_after(LONG):
            there = await running.ref("worker").ask(Call())
            assert there == await running.ref("worker").ask(Call())
        agent = slot_of(running, "worker").agent
        assert isinstance(agent, ProcessAgent)
        assert there == agent.pid != os.getpid()
    await gone(there)


async def test_what_it_prints_does_not_come_between(capfd: pytest.CaptureFixture[str]) -> None:
    async with opened(working("loud")) as running:
        assert await running.ref("worker").ask(Call({"a": [1, None]}), within=LONG) == {"a": [1, None]}


@frozen
class Sum(Request[int]):
    numbers: tuple[int, ...] = ()


class Adding(ProcessAgent[None]):
    function = f"{HERE}:add"

    @handles
    async def sum(self, message: Sum) -> int:
        return 1 + await self.call(list(message.numbers), within=LONG)


async def test_handlers_of_its_own_and_answers_longer_than_a_pipe() -> None:
    async with opened(child(Adding)) as running:
        assert await running.ref("adding").ask(Sum((1,) * 200_000), within=LONG) == 200_001


async def test_what_the_function_raises_is_a_failure_of_the_agent() -> None:
    journal = MemoryJournal()
    async with opened(working("bad"), journal=journal) as running:
        with pytest.raises(AgentFailed, match="KeyError: 'x'"):
            await running.ref("worker").ask(Call("x"), within=LONG)
        await happened(running, ChildEnded)
    (ended,) = [each for each in await events(journal, ChildEnded) if each.failure is not None]
    assert ended.failure is not None
    assert ended.failure.type.endswith("CallFailed")
    assert ended.failure.message_kind == "Call"


@pytest.mark.parametrize(("name", "data", "how"), [
    ("die", signal.SIGKILL, "was killed by SIGKILL"), ("exit_later", None, "ended with 3"),
])  # fmt: skip
async def test_a_process_that_dies_at_work_is_a_failure_and_another_one_follows(name: str, data: Any, how: str) -> None:
    async with opened(working(name)) as running:
        before = slot_of(running, "worker").agent
        with pytest.raises(AgentFailed, match=how), trio.fail_after(LONG):
            await running.ref("worker").ask(Call(data), within=LONG)
        with trio.fail_after(LONG):
            while slot_of(running, "worker").agent is before:  # noqa: ASYNC110  # it is about to be told
                await trio.sleep(0.01)
        assert isinstance(before, ProcessAgent)
        assert before.pid is None


async def test_a_process_that_is_killed_while_idle_is_noticed() -> None:
    async with opened(working("pid")) as running:
        with trio.fail_after(LONG):
            first = await running.ref("worker").ask(Call())
            os.kill(first, signal.SIGKILL)
            (ended,) = await happened(running, ChildEnded)
            while True:
                try:
                    if await running.ref("worker").ask(Call()) != first:
                        break
                except AgentFailed:
                    continue
    assert ended.failure is not None
    assert "SIGKILL" in ended.failure.text


async def test_killing_the_agent_kills_the_process_and_what_it_has_started() -> None:
    async with opened(working("helped", restart=RestartPolicy.TEMPORARY)) as running:
        helper = await running.ref("worker").ask(Call(), within=LONG)
        agent = slot_of(running, "worker").agent
        assert isinstance(agent, ProcessAgent)
        there = agent.pid
        assert there is not None
        assert lives(helper)
        running.kill("worker")
        await gone(there)
        await gone(helper)


async def test_a_call_that_is_too_late_ends_the_process(tmp_path: pathlib.Path) -> None:
    class Hasty(ProcessAgent[None]):
        function = f"{HERE}:wait"

        @handles
        async def sum(self, message: Call) -> Any:
            return await self.call(message.data, within=0.05)

    async with opened(child(Hasty, restart=RestartPolicy.TEMPORARY)) as running:
        agent = slot_of(running, "hasty").agent
        assert isinstance(agent, ProcessAgent)
        there = agent.pid
        assert there is not None
        with pytest.raises(AgentFailed, match="TooSlow"):
            await running.ref("hasty").ask(Call(str(tmp_path / "told")), within=LONG)
        await gone(there)


async def test_what_limits_no_call_is_refused_by_name_and_costs_no_process() -> None:
    class Odd(ProcessAgent[None]):
        function = f"{HERE}:add"

        @handles
        async def sum(self, message: Call) -> Any:
            said: list[str] = []
            for within in (math.nan, -1, True, "1", 10**400):
                with pytest.raises(ConfigurationError) as refused:
                    await self.call(message.data, within=within)  # pyright: ignore[reportArgumentType]
                said.append(str(refused.value))
            return [*said, await self.call(message.data, within=math.inf)]

    async with opened(child(Odd)) as running:
        *said, answer = await running.ref("odd").ask(Call([1, 2]), within=LONG)
        assert answer == 3
        assert all(text.startswith("odd: within is ") for text in said)
        assert len(said) == 5


async def test_a_function_that_is_not_there_is_a_start_that_failed() -> None:
    with pytest.raises(Exception, match="AttributeError") as raised:
        async with opened(working("nothing")):
            pass
    assert raised.type.__name__ == "TreeFailed"


@pytest.mark.parametrize("name", ["", "json", "json:", ":x", "a b:c", "json:loads()"])
def test_a_name_that_cannot_be_one_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="module:name"):
        process(name)


def test_how_it_ended() -> None:
    assert how_it_ended(0) == "ended with 0"
    assert how_it_ended(-9) == "was killed by SIGKILL"
    assert how_it_ended(-63) == "was killed by signal 63"
    assert how_it_ended(None) == "hung up"
    assert ProcessDied("x", returncode=-9).returncode == -9


def test_the_other_side_ends_when_this_process_dies_in_the_middle_of_a_call(tmp_path: pathlib.Path) -> None:
    told = tmp_path / "told"
    program = textwrap.dedent(f"""
        import json, os, signal, subprocess, sys, time
        child = subprocess.Popen([sys.executable, "-P", {CHILD!r}], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 start_new_session=True)
        path = [{str(pathlib.Path(__file__).parent)!r}, *sys.path]
        for line in ({{"path": path, "function": "{HERE}:wait"}}, {{"id": 1, "data": {str(told)!r}}}):
            child.stdin.write(json.dumps(line).encode() + b"\\n")
        child.stdin.flush()
        while not os.path.exists({str(told)!r}) or not os.path.getsize({str(told)!r}):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    done = subprocess.run([sys.executable, "-c", program], check=False, timeout=LONG)
    assert done.returncode == -signal.SIGKILL
    trio.run(gone, int(told.read_text("utf-8")))


async def test_a_process_finds_why_its_agent_was_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DIAGNOSIS, "somebody else's")
    async with opened(working("why")) as running:
        ref = running.ref("worker")
        assert await ref.ask(Call(), within=LONG) == ""
        await running.roll_back("worker", to=None, by="anna")
        said = await ref.ask(Call(), within=LONG)
        assert (said["because"], said["by"], said["to"]) == (["anna asked for it"], "anna", None)


def test_a_long_diagnosis_is_told_in_short() -> None:
    long = Diagnosis(cause="leak", because=("because of this and that\0",) * 9999, signal="x" * 200_000, by="anna")
    text = told(long)[DIAGNOSIS]
    assert len(text) < 2000
    assert (json.loads(text)["cause"], json.loads(text)["by"]) == ("leak", "anna")
    assert told(None) == {}


@frozen
class Echo(Request[int]):
    """Ask how long the answer to so many letters is; -1 if there is none."""

    size: int


class Careful(ProcessAgent[None]):
    function = f"{HERE}:loud"

    @handles
    async def echo(self, message: Echo) -> int:
        try:
            return len(await self.call("x" * message.size))
        except ProcessDied:
            return -1


async def test_nobody_gets_the_rest_of_an_answer_that_is_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["treewarden.agents.process"], "_LONGEST", 100_000)
    async with opened(child(Careful, backoff=NO_BACKOFF)) as running:
        careful = running.ref("careful")
        assert await careful.ask(Echo(3), within=LONG) == 3
        before = slot_of(running, "careful").agent
        assert isinstance(before, ProcessAgent)
        assert before.pid is not None
        pid = before.pid
        assert await careful.ask(Echo(300_000), within=LONG) == -1
        await gone(pid)
        assert (await happened(running, ChildEnded))[0].failure is not None
        assert await careful.ask(Echo(4), within=LONG) == 4
