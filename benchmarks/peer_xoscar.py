"""xoscar: actors on asyncio, in this process except for the crash. Runs in the environment of `make bench-peers`."""

# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false
# (what is installed there cannot be seen from here)

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any

import xoscar
from machine import resident_bytes
from peer_output import main, result


class Counter(xoscar.Actor):
    def __init__(self) -> None:
        self.counted = 0

    def ping(self) -> None:
        self.counted += 1

    def count(self) -> int:
        self.counted += 1
        return self.counted

    def crash(self) -> None:
        os._exit(1)


async def start(pool: Any, count: int) -> list[Any]:
    address = pool.external_address
    return [await xoscar.create_actor(Counter, address=address, uid=f"n{n}") for n in range(count)]


async def tell(pool: Any, size: int) -> dict[str, object]:
    """One message, then the actor runs: `tell` is a coroutine."""
    (actor,) = await start(pool, 1)
    began = time.perf_counter()
    for _ in range(size):
        await actor.ping.tell()
    counted = await actor.count() - 1
    return result(counted, time.perf_counter() - began)


async def fan_out(pool: Any, size: int) -> dict[str, object]:
    actors = await start(pool, min(10_000, size // 2))
    rounds = size // len(actors)
    began = time.perf_counter()
    for _ in range(rounds):
        for actor in actors:
            await actor.ping.tell()
    await actors[-1].count()
    wall = time.perf_counter() - began
    counted = sum([await actor.count() - 1 for actor in actors]) - 1
    return result(counted, wall)


async def ask_one(pool: Any, size: int) -> dict[str, object]:
    """Without a limit: `wait_for` would make a task of every ask."""
    (actor,) = await start(pool, 1)
    counted, began = 0, time.perf_counter()
    for _ in range(size):
        counted = await actor.count()
    return result(counted, time.perf_counter() - began)


async def ask_many(pool: Any, size: int) -> dict[str, object]:
    actors = await start(pool, 100)

    async def ask(actor: Any) -> int:
        counted = 0
        for _ in range(size // 100):
            counted = await actor.count()
        return counted

    began = time.perf_counter()
    counted = sum(await asyncio.gather(*map(ask, actors)))
    return result(counted, time.perf_counter() - began)


async def spawn(pool: Any, size: int) -> dict[str, object]:
    began = time.perf_counter()
    actors = await start(pool, size)
    return result(len(actors), time.perf_counter() - began)


async def idle_bytes(pool: Any, size: int) -> dict[str, object]:
    before = resident_bytes()
    began = time.perf_counter()
    actors = await start(pool, size)
    counted = sum([await actor.count() for actor in actors])
    grown = resident_bytes() - before
    return result(counted, time.perf_counter() - began, value=grown / size)


async def crash(pool: Any, size: int) -> dict[str, object]:
    """The actor's process ends; the pool starts it and the actor anew (`auto_recover="actor"`)."""
    answered, spent = 0, 0.0
    address = pool.external_address
    actor = await xoscar.create_actor(
        Counter, address=address, uid="one", allocate_strategy=xoscar.allocate_strategy.ProcessIndex(1)
    )
    for _ in range(size):
        await actor.count()
        began = time.perf_counter()
        await actor.crash.tell()
        answered += await _first_answer(actor)
        spent += time.perf_counter() - began
    return result(answered, spent)


async def _first_answer(actor: Any) -> int:
    until = time.perf_counter() + 30
    while True:
        try:
            if await asyncio.wait_for(actor.count(), 5) == 1:
                return 1
        except Exception:
            if time.perf_counter() > until:
                raise
        await asyncio.sleep(0.002)


def in_pool(case: Callable[[Any, int], Awaitable[dict[str, object]]]) -> Callable[[int], dict[str, object]]:
    """`case` with an actor pool; the one that crashes gets a second process, for it takes its process with it."""

    async def run(size: int) -> dict[str, object]:
        processes = 1 if case is crash else 0
        pool = await xoscar.create_actor_pool("127.0.0.1", n_process=processes, auto_recover="actor")
        async with pool:
            return await case(pool, size)

    return lambda size: asyncio.run(run(size))


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    cases = (tell, fan_out, ask_one, ask_many, spawn, idle_bytes, crash)
    main("xoscar", {case.__name__: in_pool(case) for case in cases})
