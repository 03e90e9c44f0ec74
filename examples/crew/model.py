"""It stands for a provider's model: limited, down, silent or garbled now and then. Put your client in its place."""

from __future__ import annotations

import json
import random
from typing import TypeAlias

import trio
from attrs import frozen

from treewarden.agents import RateLimited

__all__ = ["Answer", "Search", "Text", "Unusable", "ask", "search"]


class Unusable(Exception):
    """The model answered, and not with what it was asked for."""


@frozen
class Text:
    """What was to be written."""

    text: str


@frozen
class Search:
    """The model wants to look something up first."""

    words: str


Answer: TypeAlias = Text | Search


async def ask(topic: str, part: str, found: tuple[str, ...]) -> Answer:
    """The next thing that the model says, given what was found for it up to now. One call in six fails somehow."""
    dice = random.random()
    if dice < 0.03:
        raise RateLimited(after=0.2, text="the model: 429")
    if dice < 0.06:
        await trio.sleep_forever()
    await trio.sleep(random.uniform(0.005, 0.02))
    if dice < 0.12:
        raise ConnectionError("the model: 503")
    said = '{"text": "I can' if dice < 0.17 else said_by_a_model(topic, part, found)
    return understood(said)


def said_by_a_model(topic: str, part: str, found: tuple[str, ...]) -> str:
    if topic == "recursion" or not found:  # of the first it never has enough
        return json.dumps({"search": f"{part} of {topic}"})
    return json.dumps({"text": f"{part}: {found[-1]}"})


def understood(said: str) -> Answer:
    """Models promise JSON. Raises `Unusable` for what is none, or is none of ours."""
    try:
        match json.loads(said):
            case {"text": str(text)}:
                return Text(text)
            case {"search": str(words)}:
                return Search(words)
            case other:
                raise Unusable(f"neither a text nor a search: {other!r}")
    except json.JSONDecodeError as error:
        raise Unusable(f"no JSON: {said[:40]!r}") from error


async def search(words: str) -> str:
    """The one tool that it has."""
    await trio.sleep(0.002)
    return f"all about the {words}"
