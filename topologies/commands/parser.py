"""The parser of the command: what argparse refuses, with what may have been meant."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any, cast

__all__ = ["Parser"]


class Parser(argparse.ArgumentParser):
    """A parser, and those of its words, which tell whoever has mistyped a word or an option what is near to that."""

    def parse_known_args(self, *given: Any, **named: Any) -> Any:  # overloads, in typeshed: all that come pass through
        """A mistyped option is told before anything that is missing, which may be what was meant."""
        if given and given[0] is not None and self._subparsers is None:
            for each in takewhile(lambda each: each != "--", given[0]):
                option = each.partition("=")[0]
                if self._is_known(option):
                    continue
                if meant := _meant(option, (each for each in self._option_string_actions if each.startswith("--"))):
                    self.error(f"there is no option {option}{meant}")
        return super().parse_known_args(*given, **named)

    def _is_known(self, option: str) -> bool:
        """It is an option that there is, with its value or without, or none at all: a path, a number, a sentence."""
        words = not option.startswith("-") or option[1:2].isdecimal() or " " in option
        return words or option in self._option_string_actions or option[:2] in self._option_string_actions

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError:
            words = cast("Mapping[str, Parser] | Sequence[str]", action.choices)
            if not isinstance(words, Mapping):
                raise
            deeds = [each for each in _deeds(words) if each.endswith(f" {value}")]
            meant = f"; did you mean {' or '.join(map(repr, deeds))}?" if deeds else _meant(value, words)
            if meant:
                raise argparse.ArgumentError(action, f"there is no {value!r}{meant}") from None
            raise

    def words(self) -> Iterable[str]:
        """The words that may follow: none, where there are only options and places."""
        for group in self._subparsers._group_actions if self._subparsers else ():
            yield from group.choices or ()


def _deeds(words: Mapping[str, Parser]) -> Iterator[str]:
    return (f"{word} {deed}" for word, parser in words.items() for deed in parser.words())


def _meant(said: str, known: Iterable[str]) -> str:
    import difflib  # with the first mistake

    near = difflib.get_close_matches(said.lower(), known, n=1, cutoff=0.7)
    return f"; did you mean {near[0]!r}?" if near else ""
