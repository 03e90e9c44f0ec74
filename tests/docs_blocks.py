"""The code blocks of a Markdown file, in order: what a reader would save, run and compare."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from attrs import frozen

__all__ = ["Block", "blocks_of"]

_FENCE: Final = re.compile(r"^```(?P<language>[a-z]*)(?: (?P<name>\S+))?\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@frozen
class Block:
    """One fenced block. `name` is the file that the words before it say to save it as."""

    language: str
    name: str
    text: str
    line: int


def blocks_of(document: Path) -> list[Block]:
    """Every fenced block of `document` that names its language."""
    content = document.read_text("utf-8")
    return [
        Block(
            found["language"],
            found["name"] or "",
            found["text"],
            content.count("\n", 0, found.start()) + 1,
        )
        for found in _FENCE.finditer(content)
        if found["language"]
    ]
