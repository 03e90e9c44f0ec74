"""The agents that the TOML files of these tests name."""

from __future__ import annotations

from typing import Any, Literal

from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.worker import Job, worker
from treewarden.supervisor.core.spec import RestartPolicy
from treewarden.topologies.core.blueprint import Blueprint
from treewarden.topologies.pool import pool
from treewarden.topologies.tree import tree

LIMIT = 7


@frozen
class Letter:
    text: str = ""


class Intake(Agent[int]):
    state = 0


class Writer(Agent[int]):
    state = 0

    def __init__(self, style: str = "plain", *, words: int = 100) -> None:
        self.style = style
        self.words = words

    @handles
    def write(self, msg: Letter) -> Letter:
        return msg


class Poller(Agent[int]):
    state = 0

    def __init__(
        self,
        url: str,
        timeout: float = 5.0,
        headers: dict[str, str] | None = None,
        codes: list[int] | None = None,
        method: Literal["GET", "POST"] = "GET",
        hook: Any = None,
    ) -> None:
        self.url = url


class Outbox(Agent[int]):
    state = 0


async def poll(job: Job) -> None:
    job.progress(1)


async def greedy(job: Job, url: str) -> None:
    job.progress(url)


def plain() -> None:
    """Neither an agent nor async."""


def desk(size: int = 2) -> Blueprint:
    return tree(Intake, pool(Writer, size=size))


def fleeting() -> Blueprint:
    return tree(Intake, restart=RestartPolicy.TEMPORARY, significant=True)


def nothing() -> None:
    """Forgets to return its tree."""


def failing() -> Blueprint:
    raise RuntimeError("no desk today")


polled = worker(poll, every=5)
