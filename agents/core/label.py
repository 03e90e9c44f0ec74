"""What a checkpoint is called: a name, a description, tags."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from attrs import Attribute, field

from .said import is_storable, shown
from .values import frozen

__all__ = ["Label", "checked_tags"]

_LONGEST = 200


def _one_line(_instance: object, attribute: Attribute[str], value: object) -> None:
    if not isinstance(value, str) or len(value) > _LONGEST or not value.isprintable():
        raise ValueError(f"{attribute.name} is {value!r}; it must be one line of text, at most {_LONGEST} characters")


def _text(_instance: object, attribute: Attribute[str], value: object) -> None:
    if not isinstance(value, str) or not is_storable(value):
        raise ValueError(f"{attribute.name} is {shown(value)}; it must be a text, without half a character")


def _tags(_instance: object, attribute: Attribute[tuple[str, ...]], value: tuple[object, ...]) -> None:
    for tag in value:
        if not isinstance(tag, str) or not tag or len(tag) > _LONGEST or not tag.isprintable():
            raise ValueError(f"{attribute.name} has {tag!r}; a tag is one line of text, at most {_LONGEST} characters")


@frozen
class Label:
    """Under what a state is kept. An empty one is that of a checkpoint that nobody asked for."""

    name: str = field(default="", validator=_one_line)
    """More than one checkpoint of a slot may have it; it means the newest of them."""
    description: str = field(default="", validator=_text)
    tags: tuple[str, ...] = field(default=(), validator=_tags)


def checked_tags(values: object) -> tuple[str, ...]:
    """Several tags. Raises `ValueError` for one text, which would be as many tags as it has letters."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise ValueError(f"tags are {shown(values)}; give several texts, as in ('stable',)")
    return tuple(cast("Iterable[str]", values))
