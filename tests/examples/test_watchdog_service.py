"""The demo service: what it answers, over a real socket too, and that it never outlives whoever started it."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import PIPE

import pytest
import trio
from demo_service import BEHAVIOURS, DIED, Asked, Reply, answer, lifetime
from fetching import Answer, Call, Unreachable, fetch
from hypothesis import given
from hypothesis import strategies as st

PROGRAM = Path(__file__).parents[2] / "examples" / "watchdog" / "demo_service.py"


def replies(path: str, count: int, seed: int = 7) -> list[Reply]:
    return [answer(Asked(seed, path, n)) for n in range(1, count + 1)]


@given(st.integers(), st.sampled_from(sorted(BEHAVIOURS)), st.integers(0, 99), st.integers(1, 10_000))
def test_the_same_request_gets_the_same_answer(seed: int, first: str, name: int, n: int) -> None:
    asked = Asked(seed, f"/{first}/{name}", n)
    assert answer(asked) == answer(asked)
    assert 0 <= answer(asked).delay < 2


@given(st.integers(0, 1000), st.sampled_from(("broken", "plain", "false", "empty-list", "missing", "wrong-field")))
def test_trouble_comes_early_in_episodes_and_passes(seed: int, first: str) -> None:
    said = replies(f"/{first}/1", 96, seed)
    bad = [n for n, reply in enumerate(said, 1) if reply != said[0]]
    assert bad == [*range(bad[0], bad[0] + 6), *range(bad[0] + 48, bad[0] + 54)]
    assert 2 <= bad[0] <= 4


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/missing/1", 404, None),
        ("/moved/1", 302, ""),
        ("/broken/1", 500, None),
        ("/wrong-field/1", 200, '{"id": 1, "name": "wrong-field 1", "ok": false, "tags": ["a", "b"]}'),
        ("/missing-field/1", 200, '{"name": "1"}'),
        ("/empty-list/1", 200, "[]"),
        ("/false/1", 200, "false"),
        ("/plain/1", 200, "<h1>It works!</h1>"),
        ("/limited/1", 429, None),
        ("/recovering/1", 503, None),
    ],
)
def test_each_path_has_its_own_trouble(path: str, status: int, body: str | None) -> None:
    said = replies(path, 24)
    assert any(reply.status == status and body in (None, reply.body) for reply in said)
    assert any(reply.status == 200 and "id" in reply.body for reply in said)


def test_other_paths_have_their_manners() -> None:
    assert [reply.status for reply in replies("/flapping/1", 4)] == [200, 500, 200, 500]
    assert [reply.status for reply in replies("/recovering/1", 7)] == [503] * 2 + [200] * 5
    assert any(reply.delay > 0.5 for reply in replies("/slow/1", 10))
    assert any(reply.never for reply in replies("/hang/1", 5))
    assert [n for n, reply in enumerate(replies("/prices", 14), 1) if reply.status == 429] == [3, 10]
    stock = [json.loads(reply.body) for reply in replies("/stock/oak", 10)]
    assert [n for n, reply in enumerate(stock, 1) if not reply.get("items")] == [2, 9]
    assert answer(Asked(7, "/nowhere")).status == 404
    assert answer(Asked(7, "/secure/1")).status == 401
    assert answer(Asked(7, "/secure/1", headers={"authorization": "Bearer demo"})).status == 200
    echoed = answer(Asked(7, "/echo", method="POST", body='{"a": 1}'))
    assert (echoed.status, json.loads(echoed.body)) == (201, {"method": "POST", "sent": {"a": 1}})


@given(st.integers(), st.integers(1, 100), st.floats(0.1, 10), st.floats(10, 100))
def test_a_life_is_drawn_by_the_seed(seed: int, life: int, shortest: float, longest: float) -> None:
    assert shortest <= lifetime(seed, life, shortest, longest) <= longest
    assert lifetime(seed, life, shortest, longest) == lifetime(seed, life, shortest, longest)


@asynccontextmanager
async def service(*options: str) -> AsyncGenerator[tuple[trio.Process, str]]:
    """The service as a process of its own, and its address."""
    command = [sys.executable, "-I", str(PROGRAM), "--with-parent", "--seed", "7", *options]
    process = await trio.lowlevel.open_process(command, stdin=PIPE, stdout=PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        with trio.fail_after(20):
            line = b""
            while not line.endswith(b"\n"):
                chunk = await process.stdout.receive_some()
                assert chunk, f"it ended with {await process.wait()} before it said where it is"
                line += chunk
        yield process, line.decode().strip()
    finally:
        with trio.CancelScope(shield=True):
            await process.stdin.aclose()
            await process.wait()
            await process.stdout.aclose()


async def test_it_answers_over_a_socket() -> None:
    async with service() as (_, url):
        got = await fetch(Call(url=f"{url}/users/3"))
        assert (got.status, json.loads(got.body)["id"], got.headers["content-type"]) == (200, 3, "application/json")
        posted = await fetch(Call(url=f"{url}/echo", method="POST", body=b"[1]"))
        assert (posted.status, json.loads(posted.body)) == (201, {"method": "POST", "sent": [1]})
        secret = await fetch(Call(url=f"{url}/secure/1", headers={"Authorization": "Bearer demo"}))
        assert secret.status == 200
        moved = [await fetch(Call(url=f"{url}/moved/1")) for _ in range(6)]
        assert 302 in {reply.status for reply in moved}


async def test_it_can_begin_later() -> None:
    async with service("--before", "2") as (_, url):
        assert (await fetch(Call(url=f"{url}/recovering/1"))).status == 200


async def test_fifty_at_once_are_answered() -> None:
    answers: list[Answer] = []

    async def ask(url: str) -> None:
        answers.append(await fetch(Call(url=url)))

    async with service() as (_, url):
        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                for number in range(50):
                    nursery.start_soon(ask, f"{url}/users/{number}")
    assert sorted(json.loads(got.body)["id"] for got in answers) == list(range(50))


async def test_a_request_that_is_never_answered_can_be_cancelled() -> None:
    answered = [reply.never for reply in replies("/hang/1", 9)].index(True)
    async with service() as (_, url):
        with trio.fail_after(60):
            for _ in range(answered):
                assert (await fetch(Call(url=f"{url}/hang/1"))).status == 200
            with trio.move_on_after(0.1):
                await fetch(Call(url=f"{url}/hang/1"))
                pytest.fail("it was answered")
            late = True
            while late:  # on a busy machine that one had not even arrived, and the next one is never answered
                with trio.move_on_after(5) as limit:
                    assert (await fetch(Call(url=f"{url}/hang/1"))).status == 200
                late = limit.cancelled_caught


async def test_it_ends_with_whoever_holds_its_pipe() -> None:
    async with service() as (process, url):
        assert process.stdin is not None
        await process.stdin.aclose()
        with trio.fail_after(10):
            assert await process.wait() == 0
        with pytest.raises(Unreachable, match=r"connect error"):
            await fetch(Call(url=f"{url}/users/1"))


async def test_it_dies_on_schedule() -> None:
    async with service("--dies-after", "0.000001") as (process, _):
        with trio.fail_after(10):
            assert await process.wait() == DIED


async def test_it_takes_its_port_again_and_another_if_that_is_taken() -> None:
    async with service() as (_, first):
        port = first.rpartition(":")[2]
        async with service("--port", port, "--patience", "0.05") as (_, second):
            assert second != first
            assert (await fetch(Call(url=f"{second}/users/1"))).status == 200
    async with service("--port", port) as (_, third):
        assert third == first
