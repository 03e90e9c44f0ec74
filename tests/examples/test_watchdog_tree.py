"""The tree of `watchdog.toml`, and the service in a tree: its process ends with its agent, however that comes about."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest
import trio
from fetching import Call, fetch
from service import DEMO_URL, DemoService, Where
from watchdog import Endpoint, Recheck, Report

from treewarden.agents.errors import ConfigurationError
from treewarden.supervisor.core.event import ChildEnded, ChildStarted, Recorded
from treewarden.supervisor.core.spec import Backoff, ChildSpec, Intensity, SupervisorSpec
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.toml import load, loads
from treewarden.topologies.tree import tree

from ..agents.trees import happened

WATCHDOG = Path(__file__).parents[2] / "examples" / "watchdog"
AT_ONCE = Backoff(first=0.0, most=0.0, jitter=0.0)


@pytest.fixture(autouse=True)
def no_address_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DEMO_URL, "")  # so that it is put back to what it was


def service(**args: Any) -> ChildSpec:
    return child(DemoService, id="service", args={"seed": 7, **args}, backoff=AT_ONCE, start_within=20.0)


async def ended(stream: trio.SocketStream) -> None:
    """Return when the process at the other end of `stream` has ended."""
    with trio.fail_after(10), suppress(trio.BrokenResourceError):  # reset: as good as its end
        assert await stream.receive_some() == b""
    await stream.aclose()


async def gone(url: str, stream: trio.SocketStream) -> None:
    """As `ended`; and nothing listens at `url` then, once the process is out of its exit."""
    await ended(stream)
    with trio.fail_after(10):
        while True:
            try:
                stream = await connected(url)
            except OSError:
                return
            await ended(stream)


async def connected(url: str) -> trio.SocketStream:
    """A connection that says nothing: it lasts as long as the service."""
    return await trio.open_tcp_stream("127.0.0.1", int(url.rpartition(":")[2]))


async def test_the_service_is_stopped_with_its_tree() -> None:
    async with open_tree(tree(service())) as running:
        url = await running.ref("service").ask(Where())
        assert url == os.environ[DEMO_URL]
        assert (await fetch(Call(url=f"{url}/users/1"))).status == 200
        stream = await connected(url)
    await gone(url, stream)


async def test_a_killed_service_comes_back_at_the_same_address() -> None:
    async with open_tree(tree(service())) as running:
        url = await running.ref("service").ask(Where())
        stream = await connected(url)
        running.kill("service")
        await ended(stream)
        await happened(running, ChildStarted, 2)
        assert await running.ref("service").ask(Where()) == url
        assert (await fetch(Call(url=f"{url}/users/1"))).status == 200


async def test_its_death_is_a_crash() -> None:
    often = Intensity(max_restarts=1000, within=1.0)
    async with open_tree(tree(service(lives=[0.3, 0.3]), restarts=often)) as running:
        (end,) = await happened(running, ChildEnded)
        assert end.failure is not None
        assert (end.failure.type, end.failure.text) == (
            "service.ServiceDied",
            "exit status 3 in its life number 1",
        )
        await happened(running, ChildStarted, 2)


async def test_it_does_not_outlive_a_process_that_is_killed(tmp_path: Path) -> None:
    program = (
        "import os, sys, trio\n"
        f"sys.path.insert(0, {str(WATCHDOG)!r})\n"
        "from service import DemoService\n"
        "from treewarden.topologies.open import open_tree\n"
        "from treewarden.topologies.tree import tree\n"
        "async def main():\n"
        "    async with open_tree(tree(DemoService), journal='a.db'):\n"
        "        print(os.environ['DEMO_URL'], flush=True)\n"
        "        await trio.sleep_forever()\n"
        "trio.run(main)\n"
    )
    process = await trio.lowlevel.open_process([sys.executable, "-c", program], stdout=PIPE, cwd=tmp_path)
    assert process.stdout is not None
    with trio.fail_after(30):
        line = b""
        while not line.endswith(b"\n"):
            line += await process.stdout.receive_some()
    url = line.decode().strip()
    stream = await connected(url)
    process.send_signal(signal.SIGKILL)
    await process.wait()
    await process.stdout.aclose()
    await gone(url, stream)


@pytest.mark.parametrize("lives", [[1.0], [0.0, 1.0], [2.0, 1.0]])
def test_lives_that_cannot_be_are_refused(lives: list[float]) -> None:
    with pytest.raises(ConfigurationError, match="give the shortest and the longest"):
        DemoService(lives=lives)


async def test_an_endpoint_finds_the_service_by_its_path() -> None:
    args = {"url": "demo:/users/1", "expect": {"json": {"id": 1}}, "every": 3600.0, "service": "../service"}
    async with open_tree(tree(service(), child(Endpoint, id="a", args=args))) as running:
        (known,) = [await running.ref("a").ask(Report(), within=20.0)]
        assert (known.kind, known.checks) == ("ok", 1)


async def test_while_the_service_is_away_its_old_address_is_asked() -> None:
    args = {"url": "demo:/users/1", "every": 3600.0, "service": "../service"}
    async with open_tree(tree(service(), child(Endpoint, id="a", args=args))) as running:
        endpoint = running.ref("a")
        await endpoint.ask(Report(), within=20.0)
        await running.supervisor().terminate_child("service")
        await endpoint.tell(Recheck())
        await endpoint.tell(Recheck())
        recorded = await happened(running, Recorded, 3)
        assert [each.facts["text"][:13] for each in recorded] == ["", "connect error", "connect error"]


async def test_the_same_file_watches_any_address() -> None:
    async with open_tree(tree(service())) as running:
        url = await running.ref("service").ask(Where())
        text = f"""
        [[children]]
        id = "a"
        agent = "watchdog:Endpoint"
        args = {{ url = "{url}/users/1", every = 3600, expect = {{ json = {{ id = 1 }} }} }}
        """
        async with open_tree(loads(text, WATCHDOG).blueprint) as watching:
            assert (await watching.ref("a").ask(Report(), within=20.0)).kind == "ok"


async def test_without_the_service_its_endpoints_are_down() -> None:
    args = {"url": "demo:/users/1", "every": 3600.0, "service": "../nobody"}
    async with open_tree(tree(child(Endpoint, id="a", args=args))) as running:
        known = await running.ref("a").ask(Report())
        assert (known.kind, known.checks) == ("down", 1)


def test_the_file_describes_fifty_endpoints() -> None:
    topology = load(WATCHDOG / "watchdog.toml")
    assert topology.journal == "watchdog.db"
    endpoints = topology.blueprint.children[1]
    assert isinstance(endpoints, SupervisorSpec)
    assert len(endpoints.children) == 50
    for each in endpoints.children:
        assert isinstance(each, ChildSpec)
        made = each.agent(**each.args)
        assert isinstance(made, Endpoint)
        assert 1 <= made.period <= 5
        assert each.uses == ("demo",)
