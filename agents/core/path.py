"""The address of a slot: ids from the root downwards, joined with `/`."""

from __future__ import annotations

from string import ascii_letters, digits
from typing import Final

from .said import shown

__all__ = ["LONGEST_ID", "LONGEST_PATH", "ROOT", "Path", "check_id"]

_FIRST: Final = frozenset(ascii_letters + digits + "_")
_REST: Final = _FIRST | frozenset(".:@+-")
LONGEST_ID: Final = 200
LONGEST_PATH: Final = 2000
"""Characters, as those of an id: each row and each event of a slot has its path."""


def check_id(value: str) -> str:
    """Return `value` if it may name a slot, else raise `ValueError` with the remedy."""
    if not isinstance(value, str) or value[:1] not in _FIRST or not _REST.issuperset(value):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError(
            f"{shown(value)} cannot name a slot: use letters, digits and _ . : @ + -, starting with a letter, digit or"
            f" _{_not_to_be_seen(value)}"
        )
    if len(value) > LONGEST_ID:
        raise ValueError(
            f"{shown(value)} cannot name a slot: use at most {LONGEST_ID} characters; it has {len(value):,}"
        )
    return value


def _not_to_be_seen(value: object) -> str:
    """A letter from elsewhere may look like one from a to z."""
    odd = next((letter for letter in value if not letter.isascii()), "") if isinstance(value, str) else ""
    return f"; {odd!a} is none of these" if odd else ""


class Path(str):
    """Where a slot stands in the tree: `desk/writer/2`; the root itself is `/`.

    A path is a `str`, so it sorts, hashes and prints as one. It is not checked when constructed;
    `Path.parse` checks text that comes from outside.
    """

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Path:
        """Check `text` and return it as a path. Raises `ValueError` naming the bad id."""
        if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError(f"{shown(text)} is no path; give a text such as 'desk/writer'")
        if text in ("/", ""):
            return ROOT
        if len(text) > LONGEST_PATH:
            raise ValueError(f"{shown(text)} is no path: use at most {LONGEST_PATH:,} characters; it has {len(text):,}")
        for part in text.strip("/").split("/"):
            check_id(part)
        return cls(text.strip("/"))

    def __truediv__(self, child: str) -> Path:
        return Path(child) if self == "/" else Path(f"{self}/{child}")

    @property
    def name(self) -> str:
        """The last id; the root's name is `/`."""
        return self.rpartition("/")[2] or "/"

    @property
    def parent(self) -> Path:
        """The path of the supervisor above; the root is its own parent."""
        head = self.rpartition("/")[0]
        return Path(head) if head else ROOT

    def is_within(self, other: Path) -> bool:
        """Whether this path is `other` or lies below it."""
        return other == "/" or self == other or self.startswith(other + "/")

    def resolve(self, text: str) -> Path:
        """Read `text` as seen from here: `./x` is a child, `../x` a sibling, anything else counts from the root."""
        if not isinstance(text, str) or not text.startswith("."):  # pyright: ignore[reportUnnecessaryIsInstance]
            return Path.parse(text)
        here = self
        for part in text.split("/"):
            if part == "..":
                here = here.parent
            elif part not in (".", ""):
                here = here / check_id(part)
        return here


ROOT: Final = Path("/")
