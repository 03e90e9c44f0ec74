"""A crew of AI workers: an editor hands out the parts of an article, and writers ask a model for them.

`crew.toml` runs it, and `test_crew.py` kills it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, TypeAlias

import model
import trio
from attrs import evolve, field, frozen

from treewarden.agents import Agent, LoopLimit, MailboxSpec, Purse, handles, retry, spend
from treewarden.supervisor import Intensity, Strategy
from treewarden.topologies import Blueprint, child, pool, tree

__all__ = ["Article", "Ask", "Editor", "Part", "Published", "Writer", "Written", "crew"]

CENTS: Final = 2
"""What a part costs, at most."""

Ask: TypeAlias = Callable[[str, str, tuple[str, ...]], Awaitable[model.Answer]]
Publish: TypeAlias = Callable[[str, str], Awaitable[None]]


@frozen
class Article:
    topic: str
    parts: tuple[str, ...]


@frozen
class Part:
    topic: str
    part: str


@frozen
class Written:
    topic: str
    part: str
    text: str


@frozen
class Published:
    """A fact."""

    topic: str
    words: int


@frozen
class Draft:
    """An article on its way, with the texts that there are."""

    parts: tuple[str, ...]
    texts: dict[str, str] = field(factory=dict[str, str])

    @property
    def whole(self) -> str | None:
        return "\n".join(self.texts[part] for part in self.parts) if len(self.texts) == len(self.parts) else None


@frozen
class Desk:
    drafts: dict[str, Draft] = field(factory=dict[str, Draft])
    """By topic."""

    def with_(self, topic: str, draft: Draft) -> Desk:
        return Desk({**self.drafts, topic: draft})


async def to_a_file(text: str, key: str) -> None:
    """The world outside: it knows an article by its key, and takes it once."""
    shelf = trio.Path("articles.txt")
    if not await shelf.exists() or key not in await shelf.read_text():
        async with await shelf.open("a") as articles:
            await articles.write(f"{key} {text!r}\n")


class Editor(Agent[Desk]):
    state = Desk()

    def __init__(self, publish: Publish = to_a_file) -> None:
        self.publish = publish

    @handles
    async def article(self, article: Article) -> None:
        if article.topic in self.state.drafts:  # ordered twice
            return
        for part in article.parts:
            await self.ref("../writers").tell(Part(article.topic, part))  # all of them leave with the settle, or none
        self.state = self.state.with_(article.topic, Draft(article.parts))

    @handles
    async def written(self, part: Written) -> None:
        draft = self.state.drafts[part.topic]
        draft = evolve(draft, texts={**draft.texts, part.part: part.text})
        self.state = self.state.with_(part.topic, draft)
        if draft.whole is not None:
            await self.effect("publish", partial(self.publish, draft.whole), idempotent=True)
            self.record(Published(part.topic, len(draft.whole.split())))


class Writer(Agent[None]):
    def __init__(self, ask: Ask = model.ask) -> None:
        self.ask = ask

    @handles
    async def part(self, part: Part) -> None:
        await spend(self, "../../purse", CENTS)
        found: tuple[str, ...] = ()
        while True:
            call = partial(self.ask, part.topic, part.part, found)
            said = await retry(call, within=0.5, on=(OSError, model.Unusable), first=0.05)
            if isinstance(said, model.Text):
                break
            found = (*found, await model.search(said.words))
            self.called("search", {"words": said.words}, found[-1])  # whoever goes round in circles is stopped
        await self.ref("../../editor").tell(Written(part.topic, part.part, said.text))


def crew(
    *, size: int = 10, cents_an_hour: float = 500, ask: Ask = model.ask, publish: Publish = to_a_file
) -> Blueprint:
    """An editor, so many writers, and a purse that they share."""
    writer = child(
        Writer,
        args={"ask": ask},
        uses=("model",),  # when it is down, nobody asks it but one who finds out, and no message is blamed
        mailbox=MailboxSpec(deliveries=9),  # until that is known
        loops=LoopLimit(times=3),
        progress_within=10,
    )
    return tree(
        child(Purse, args={"most": cents_an_hour, "within": 3600}),
        child(Editor, args={"publish": publish}),
        pool(writer, size=size, route="shared", id="writers", restarts=Intensity(100, within=5)),
        strategy=Strategy.REST_FOR_ONE,  # a writer is nothing without the purse and the editor
    )
