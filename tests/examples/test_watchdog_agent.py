"""An endpoint's agent in a tree: what it does at which answer, and that one that hangs delays nobody else."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any, Final

import pytest
import trio
from fetching import Answer
from service import Where
from trio.testing import MockClock
from watchdog import Endpoint, Errand, History, Recheck, Report

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.lifecycle import SlotState
from treewarden.agents.errors import ConfigurationError
from treewarden.agents.worker import worker
from treewarden.supervisor.core.event import ChildEnded, DeadLettered, Decided, IncidentClosed, Recorded, SignalNoted
from treewarden.topologies.child import child
from treewarden.topologies.running import Tree
from treewarden.topologies.tree import tree

from ..agents.trees import happened
from .watchdog_net import GOOD, Net, Reply, endpoint, opened

ROUNDS = 100
EXAMPLE: Final = Path(__file__).parents[2] / "examples" / "watchdog"


def answer(status: int, body: str = "", **headers: str) -> Answer:
    return Answer(status=status, headers={name.replace("_", "-"): value for name, value in headers.items()}, body=body)


async def report(running: Tree, id: str) -> History:
    return await running.ref(id).ask(Report())


def status_of(running: Tree, id: str) -> tuple[SlotState, int]:
    (slot,) = [each for each in running.snapshot() if each.path == id]
    return slot.state, slot.restarts


async def test_fifty_endpoints_one_hanging_and_the_others_on_time(autojump_clock: MockClock) -> None:
    net = Net({"http://e-7/": lambda _: 5.0})
    names = [f"e-{number}" for number in range(50)]
    begun = trio.current_time()
    async with opened(tree(*(endpoint(net, name, {"timeout": 10.0}) for name in names))):
        await trio.sleep(ROUNDS + 0.5)
        checked = {name: [at - begun for at in net.asked[f"http://{name}/"]] for name in names}
    hanging = checked.pop("e-7")
    for times in checked.values():
        late = [at - due for due, at in enumerate(times)]
        assert len(times) == ROUNDS + 1
        assert min(late) >= 0
        assert max(late) < 1
        assert late[-1] - late[0] < 0.01  # no drift
    assert 18 <= len(hanging) <= 22  # each takes 5 s; the ticks missed meanwhile have become one


async def test_what_is_known_is_counted(autojump_clock: MockClock) -> None:
    net = Net({"http://a/": lambda n: GOOD if n != 3 else answer(404)})
    async with opened(tree(endpoint(net, "a"))) as running:
        await trio.sleep(4.5)
        known = await report(running, "a")
        assert (known.checks, known.failures, known.in_a_row, known.kind, known.status) == (5, 1, 0, "ok", 200)
        assert known.up
        assert known.next - known.at == pytest.approx(1, abs=0.01)
        recorded = await happened(running, Recorded, 5)
        assert [each.facts["kind"] for each in recorded] == ["ok", "ok", "wrong_status", "ok", "ok"]


async def test_a_failing_check_is_a_signal_and_no_crash(autojump_clock: MockClock) -> None:
    net = Net({"http://a/": lambda n: "connect error: refused" if 2 <= n < 8 else GOOD})
    async with opened(tree(endpoint(net, "a"))) as running:
        (noted,) = await happened(running, SignalNoted)
        assert (noted.path, noted.kind) == ("a", "down")
        assert noted.text == "GET http://a/: connect error: refused"
        known = await report(running, "a")
        assert (known.standing.trouble, known.in_a_row, known.up) == ("down", 2, False)
        await trio.sleep(10)
        assert (await report(running, "a")).standing.trouble == ""
        assert status_of(running, "a") == (SlotState.UP, 0)


async def test_a_single_odd_answer_is_no_signal(autojump_clock: MockClock) -> None:
    net = Net({"http://a/": lambda n: GOOD if n % 4 else answer(500)})
    async with opened(tree(endpoint(net, "a"))) as running:
        await trio.sleep(20)
        assert (await report(running, "a")).failures == 5
        with pytest.raises(trio.TooSlowError):
            await happened(running, SignalNoted, within=1)


async def test_no_answer_within_the_limit_is_down(autojump_clock: MockClock) -> None:
    net = Net({"http://a/": lambda _: None})
    async with opened(tree(endpoint(net, "a", {"timeout": 0.5}))) as running:
        (noted,) = await happened(running, SignalNoted)
        assert noted.text == "GET http://a/: no answer within 0.5 s"
        assert (await report(running, "a")).latency == pytest.approx(0.5)


async def test_the_kind_of_trouble_is_the_signal(autojump_clock: MockClock) -> None:
    wrong: dict[str, Reply] = {
        "down": lambda _: "refused",
        "slow": lambda _: 0.9,
        "not_json": lambda _: answer(200, "OK"),
        "wrong_shape": lambda _: answer(200, "[]"),
        "wrong_body": lambda _: answer(200, '{"ok": false}'),
        "wrong_status": lambda _: answer(302),
        "server_error": lambda _: answer(503),
    }
    net = Net({f"http://{kind.replace('_', '-')}/": reply for kind, reply in wrong.items()})
    args = {"slow_over": 0.3, "expect": {"json": {"ok": True}}}
    children = [endpoint(net, kind.replace("_", "-"), args) for kind in wrong]
    async with opened(tree(*children)) as running:
        noted = await happened(running, SignalNoted, len(wrong))
    assert {each.path.replace("-", "_"): each.kind for each in noted} == {kind: kind for kind in wrong}
    assert all(0 < each.severity < 1 for each in noted)
    assert {each.kind: each.severity for each in noted}["slow"] == pytest.approx(1 - 0.3 / 0.9)


async def test_a_trouble_that_turns_into_another_is_not_over_in_between(autojump_clock: MockClock) -> None:
    net = Net({"http://a/": lambda n: answer(500) if n < 3 else "refused" if n < 5 else GOOD})
    async with opened(tree(endpoint(net, "a"))) as running:
        noted = await happened(running, SignalNoted, 4)
        assert [each.kind for each in noted] == ["server_error", "down", "Recovered", "Recovered"]
        assert noted[2].text == "recovered from server_error: now down"
        assert noted[3].text == "recovered from down: well again: http://a/"
        (closed,) = await happened(running, IncidentClosed)
        assert closed.after == pytest.approx(5, abs=0.1)


async def test_too_many_requests_throttle_and_restart_nothing(autojump_clock: MockClock) -> None:
    net = Net({"http://a/": lambda n: answer(429, retry_after="7") if n == 2 else GOOD})
    async with opened(tree(endpoint(net, "a"))) as running:
        (decided,) = await happened(running, Decided)
        assert (decided.action, decided.details) == ("throttle", {"seconds": 7.0})
        await trio.sleep(10)
        first, limited, after, *_ = net.asked["http://a/"]
        assert limited - first == pytest.approx(1, abs=0.01)
        assert 7 <= after - limited < 8.1
        known = await report(running, "a")
        assert (known.limited, known.failures) == (1, 0)
        recorded = await happened(running, Recorded, known.checks + known.limited)
        assert [each.facts["kind"] for each in recorded][:3] == ["ok", "rate_limited", "ok"]
        assert recorded[1].facts["at"] == pytest.approx(limited)
        assert status_of(running, "a") == (SlotState.UP, 0)


async def test_a_mistyped_recheck_is_set_aside_and_not_the_agent(autojump_clock: MockClock) -> None:
    net = Net()
    errand = child(Errand, args={"to": "a", "after": 1.0})
    async with opened(tree(endpoint(net, "a"), errand)) as running:
        (dead,) = await happened(running, DeadLettered)
        assert (dead.path, dead.kind.rpartition(":")[2]) == ("a", "Recheck")
        await trio.sleep(30)
        ended = await happened(running, ChildEnded, 2)
        assert [each.failure.type for each in ended if each.failure is not None] == ["ValueError"] * 2
        assert status_of(running, "a") == (SlotState.UP, 2)
        assert (await report(running, "a")).checks > 20
        with pytest.raises(trio.TooSlowError):
            await happened(running, DeadLettered, 2, within=1)  # it was told once


async def test_a_recheck_comes_beside_the_schedule(autojump_clock: MockClock) -> None:
    net = Net()
    async with opened(tree(endpoint(net, "a", {"every": 3600.0}))) as running:
        await trio.sleep(1)
        await running.ref("a").tell(Recheck())
        await running.ref("a").tell(Recheck("0.5"))
        assert (await report(running, "a")).checks == 3


async def test_without_a_limit_of_its_own_a_hang_is_cured_by_progress_within(autojump_clock: MockClock) -> None:
    net = Net({"http://a/": lambda n: None if n == 3 else GOOD})
    hanging = endpoint(net, "a", {"timeout": float("inf")}, progress_within=3.0)
    async with opened(tree(hanging)) as running:
        (decided,) = await happened(running, Decided)
        assert (decided.action, "stalled" in decided.symptoms) == ("restart", True)
        await trio.sleep(10)
        assert status_of(running, "a") == (SlotState.UP, 1)
        known = await report(running, "a")
        assert known.checks > 7
        assert known.failures == 0


async def test_a_dead_dependency_is_one_trouble(autojump_clock: MockClock) -> None:
    def reply(_: int) -> Answer | str:
        return "connect error: refused" if trio.current_time() - begun > 5 else GOOD

    names = [f"e-{number}" for number in range(20)]
    net = Net({f"http://{name}/": reply for name in names})
    begun = trio.current_time()
    children = [endpoint(net, name, uses=("demo",)) for name in names]
    async with opened(tree(*children)) as running:
        await trio.sleep(30)
        async with running.events() as records:
            async for record in records:
                if isinstance(record.event, Decided) and record.event.action == "break":
                    assert record.event.details["dependency"] == "demo"
                    break
        assert sum(slot.restarts for slot in running.snapshot()) == 0


class Moving(Agent[int]):
    """A service that is at another address each time that somebody asks."""

    state = 0

    @handles
    def where(self, _: Where) -> str:
        self.state += 1
        return f"http://at-{self.state}"


async def test_an_address_is_asked_for_again_when_nobody_answers_there(autojump_clock: MockClock) -> None:
    net = Net({"http://at-1/x": lambda n: GOOD if n < 3 else "refused"})
    moving = endpoint(net, "a", {"url": "demo:/x", "service": "../moving"})
    async with opened(tree(Moving, moving)):
        await trio.sleep(5.5)
    assert {address: len(times) for address, times in net.asked.items()} == {"http://at-1/x": 3, "http://at-2/x": 3}


async def test_what_is_sent_is_what_was_asked_for(autojump_clock: MockClock) -> None:
    net = Net()
    args: dict[str, Any] = {"method": "POST", "headers": {"X-Key": "1"}, "body": {"a": [1, None]}}
    async with opened(tree(endpoint(net, "a", args))):
        await trio.sleep(0.1)
    (call,) = net.calls
    assert (call.method, call.body) == ("POST", b'{"a": [1, null]}')
    assert call.headers == {"Content-Type": "application/json", "X-Key": "1"}


async def test_counters_and_due_times_go_on_in_the_next_tree(autojump_clock: MockClock, tmp_path: Path) -> None:
    net = Net({"http://a/": lambda n: GOOD if n < 3 else "refused"})
    shape = tree(endpoint(net, "a", {"every": 10.0}))
    file = tmp_path / "a.db"
    begun = trio.current_time()
    async with opened(shape, file) as running:
        await trio.sleep(35)
        before = await report(running, "a")
    assert (before.checks, before.standing.trouble) == (4, "down")
    await trio.sleep(2)
    async with opened(shape, file) as running:
        assert await report(running, "a") == before
        await trio.sleep(6)
        after = await report(running, "a")
        assert (after.checks, after.in_a_row) == (5, 3)
        assert net.asked["http://a/"][-1] - begun == pytest.approx(40, abs=0.1)
        noted = await happened(running, SignalNoted, 2)  # the new supervisor is told of the old trouble
        assert [each.kind for each in noted] == ["down"] * 2


@pytest.mark.parametrize(
    ("args", "text"),
    [
        ({"url": "ftp://a/"}, "url is 'ftp://a/'; begin it with https://, http:// or demo:/"),
        ({"url": "https:///a"}, "url is 'https:///a'"),
        ({"url": "http://a/", "method": "get"}, "method is 'get'; give one of GET"),
        ({"url": "http://a/", "body": {"at": date(2026, 1, 1)}}, "body is {'at': datetime.date(2026, 1, 1)}"),
        ({"url": "http://a/", "timeout": 0.0}, "timeout is 0.0"),
        ({"url": "http://a/", "timeout": float("nan")}, "timeout is nan"),
        ({"url": "http://a/", "expect": {"statu": 1}}, "there is no 'statu'"),
        ({"url": "http://a/", "damping": {"bad": 9}}, "damping.bad is 9"),
    ],
)
def test_an_endpoint_that_cannot_work_is_refused(args: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Endpoint(**args)
    assert text in str(refused.value)


async def test_a_missing_client_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx2", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'treewarden\[http\]'"):
        await Endpoint("https://example.com/").on_start()


def test_the_first_request_imports_nothing_of_weight() -> None:
    program = """
import sys, trio
from fetching import Call, Unreachable, fetch, http_client

async def main():
    http_client()
    before = {name.partition(".")[0] for name in sys.modules}
    try:
        await fetch(Call(url="http://127.0.0.1:1/"))
    except Unreachable:
        print(sorted({name.partition(".")[0] for name in sys.modules} - before - {"encodings", "stringprep"}))

trio.run(main)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=EXAMPLE, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_plain_functions_are_workers() -> None:
    from jobs import inventory, quotes

    assert [worker(fn, every=2).id for fn in (inventory, quotes)] == ["inventory", "quotes"]
