"""Values that are filled are those that their class makes."""

from __future__ import annotations

import copy
import pickle
import weakref
from typing import Any

import pytest
from attrs import evolve, field
from attrs.exceptions import FrozenInstanceError

from treewarden.agents.core.values import filled, frozen


def _no_doubt(_instance: object, _attribute: object, value: int) -> None:
    if value < 0:
        raise ValueError("negative")


@frozen
class Odd:
    """Its fields are called as what makes it might be."""

    kind: int = field(validator=_no_doubt)
    made: str = ""
    new: tuple[int, ...] = ()
    _worked_out: float | None = field(default=None, eq=False, repr=False)

    def twice(self) -> int:
        return 2 * self.kind


@frozen(kw_only=True)
class Named:
    path: str
    text: str = "x"


odd, named = filled(Odd), filled(Named)


def test_it_is_the_value_that_the_class_makes() -> None:
    mine, theirs = odd(1, "a", (2,), 3.0), Odd(1, "a", (2,), 3.0)
    assert type(mine) is Odd
    assert (mine, hash(mine), repr(mine), mine.twice()) == (theirs, hash(theirs), repr(theirs), 2)
    assert mine._worked_out == 3.0  # pyright: ignore[reportPrivateUsage]
    assert evolve(mine, made="b") == Odd(1, "b", (2,))
    assert pickle.loads(pickle.dumps(mine)) == copy.copy(mine) == theirs
    assert weakref.ref(mine)() is mine
    assert named(path="p", text="t") == Named(path="p", text="t")


def test_nothing_changes_it() -> None:
    mine: Any = odd(1, "a", (), None)
    for change in (lambda: setattr(mine, "kind", 2), lambda: delattr(mine, "kind"), lambda: setattr(mine, "more", 2)):
        with pytest.raises((FrozenInstanceError, AttributeError)):
            change()
    assert mine.kind == 1


def test_what_is_given_is_taken_as_it_is_and_has_to_be_whole() -> None:
    assert odd(-1, "", (), None).kind == -1
    short: Any = odd
    with pytest.raises(TypeError):
        short(1)
