"""Arguments against signatures and annotations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any, Literal

import pytest

from treewarden.topologies.core.arguments import argument_problems, type_problems

if TYPE_CHECKING:
    from pathlib import Path


def plain() -> None: ...


def takes(url: str, timeout: float = 5.0, *, retries: int = 0) -> None: ...


def anything(**options: object) -> None: ...


def only_by_place(url: str, /) -> None: ...


class Unseen:
    def __init__(self, path: Path, size: int = 1) -> None: ...


@pytest.mark.parametrize(
    ("agent", "args", "texts"),
    [
        (plain, {}, []),
        (plain, {"x": 1}, ["at.x: 'x' is not an argument; plain takes no arguments"]),
        (takes, {"url": "a", "retries": 3}, []),
        (takes, {"uri": "a"}, ["at.uri: 'uri' is not an argument, did you mean 'url'?",
                               "at: 'url' is missing; takes takes url: str"]),
        (takes, {"url": "", "x": 1}, ["at.x: 'x' is not an argument; "
                                      "takes takes url: str, timeout: float = 5.0 and retries: int = 0"]),
        (anything, {"x": 1}, []),
        (only_by_place, {}, ["at: 'url' cannot be given by name; take the / out of only_by_place"]),
        (dict, {"x": 1}, []),
        (Unseen, {}, ["at: 'path' is missing; Unseen takes path: Path"]),
    ],
)  # fmt: skip
def test_arguments_fit_the_signature(agent: Callable[..., object], args: dict[str, Any], texts: list[str]) -> None:
    assert [str(each) for each in argument_problems(agent, args, "at")] == texts


FITS: list[tuple[Any, list[Any], list[Any]]] = [
    (str, ["", "a"], [1, True, ["a"], {}]),
    (int, [0, -5], [1.0, True, "1"]),
    (float, [1, 0.5], [True, "0.5"]),
    (bool, [True, False], [1, "true"]),
    (str | None, ["a"], [1]),
    (int | str, [1, "a"], [True, 1.5]),
    (Literal["GET", 1], ["GET", 1], ["PUT", True, "1"]),
    (list[int], [[], [1, 2]], [[1, "a"], [True], 1, {}]),
    (list, [[1, "a"]], ["a"]),
    (Sequence[str], [["a"]], ["a", [1]]),
    (dict[str, int], [{}, {"a": 1}], [{"a": "b"}, [1]]),
    (Mapping[str, list[str]], [{"a": ["b"]}], [{"a": "b"}]),
    (dict, [{"a": 1}], [1]),
    (Any, [1, "a", None], []),
    (date, ["2026-01-01", 5], []),
]


@pytest.mark.parametrize(("hint", "good", "bad"), FITS, ids=lambda value: getattr(value, "__name__", None))
def test_arguments_fit_the_annotations(hint: Any, good: list[Any], bad: list[Any]) -> None:
    def agent(value: object) -> None: ...

    agent.__annotations__["value"] = hint
    for value in good:
        assert list(type_problems(agent, {"value": value}, "at")) == []
    for value in bad:
        (problem,) = type_problems(agent, {"value": value}, "at")
        assert problem.path == "at.value"


def test_annotations_for_type_checkers_only_fit_anything() -> None:
    assert list(type_problems(Unseen, {"path": 5, "size": "large"}, "at")) == []
