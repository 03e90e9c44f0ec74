"""What is wrong with a blueprint or a TOML file, said so that the reader can mend it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from treewarden.agents.core import said
from treewarden.agents.core.values import frozen

__all__ = ["Problem", "choose", "guess", "shown"]

_LONGEST: Final = 60


@frozen
class Problem:
    """One thing that cannot work: where it stands, what stands there, and what to do about it.

    >>> print(Problem("desk.children[1].size", "0", "is too small", "give 1 or more"))
    desk.children[1].size: 0 is too small; give 1 or more
    """

    path: str
    """Positions count from 0, as in the file or in the call: `desk.children[1].restart`."""
    value: str
    fault: str
    remedy: str

    def __str__(self) -> str:
        joint = ", " if self.remedy.startswith("did you mean") else "; "
        return f"{self.path}: {self.value} {self.fault}{joint}{self.remedy}"


def shown(value: object) -> str:
    """A value as it would stand in a TOML file, shortened in the middle if it is long."""
    text = _shown(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 16]} … {text[-12:]}"


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        table = cast("Mapping[Any, object]", value)
        return "{ " + ", ".join(f"{key} = {_shown(each)}" for key, each in table.items()) + " }" if table else "{}"
    if isinstance(value, list):
        return "[" + ", ".join(_shown(each) for each in cast("list[object]", value)) + "]"
    try:
        return repr(value)
    except Exception:  # of what says that it cannot, or a number with more digits than CPython writes
        return said.shown(value)


def guess(word: object, known: Sequence[str]) -> str:
    """`did you mean 'x'?` if one of `known` is close to `word`, else nothing."""
    import difflib  # with the first word that is none

    near = difflib.get_close_matches(word.lower(), known, n=1) if isinstance(word, str) else []
    return f"did you mean {near[0]!r}?" if near else ""


def choose(word: object, known: Sequence[str]) -> str:
    """What else could be meant by `word`, and all that could have been written."""
    return " ".join(filter(None, (guess(word, known), f"use {said.either(known)}")))
