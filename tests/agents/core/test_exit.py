from __future__ import annotations

import json
import math
import re
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

import pytest

from treewarden.agents.core.exit import (
    _FRAMES,  # pyright: ignore[reportPrivateUsage]
    _KNOWN,  # pyright: ignore[reportPrivateUsage]
    _PLACES,  # pyright: ignore[reportPrivateUsage]
    KILLED,
    Failed,
    Failure,
    Finished,
    Stopped,
    alone,
    describe,
    ends_process,
    failed_by,
    fingerprint,
    is_clean,
    leaves,
)
from treewarden.agents.core.lanes import Lanes
from treewarden.agents.errors import RateLimited
from treewarden.agents.limited import rate_limit_of


class Odd(Exception):
    """Whose text cannot be read."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


def raised(call: Callable[[], object]) -> BaseException:
    try:
        call()
    except BaseException as error:
        return error
    raise AssertionError("it raised nothing")


def inner(error: BaseException, outer: int) -> BaseException:
    """As if its way had begun so many frames later."""
    for _ in range(outer):
        assert error.__traceback__ is not None
        error = error.with_traceback(error.__traceback__.tb_next)
    return error


def unlucky(text: str = "unlucky") -> NoReturn:
    raise ValueError(text)


def also_unlucky() -> NoReturn:
    raise ValueError("unlucky")


def wrong_type() -> NoReturn:
    raise TypeError("unlucky")


def of(*errors: Exception) -> ExceptionGroup[Exception]:
    return ExceptionGroup("several", list(errors))


@pytest.mark.parametrize(
    ("exit", "clean"), [(Finished(), True), (Finished(3), True), (Stopped("x"), True), (KILLED, False)]
)
def test_which_exits_are_clean(exit: Finished | Stopped | Failed, clean: bool) -> None:
    assert is_clean(exit) is clean


def test_an_exception_as_data() -> None:
    failure = describe(raised(unlucky), message="m7", message_kind="Add")
    assert (failure.type, failure.text, failure.message, failure.message_kind) == ("ValueError", "unlucky", "m7", "Add")
    assert failure.where.startswith("core/test_exit.py:")
    assert failure.where.endswith(" in unlucky")
    assert "raise ValueError" in failure.trace
    assert str(failure) == f"ValueError: unlucky ({failure.where})"
    assert failure.after is None
    assert failure.unborn is False
    assert failure.parts == ()


def test_the_class_has_its_module_unless_it_is_built_in() -> None:
    assert describe(json.JSONDecodeError("bad", "", 0)).type == "json.decoder.JSONDecodeError"
    assert describe(KeyError("a")).type == "KeyError"


def test_an_exception_that_was_never_raised_has_no_place() -> None:
    failure = describe(ValueError("x"))
    assert failure.where == ""
    assert str(failure) == "ValueError: x"
    assert str(describe(ValueError())) == "ValueError"


def test_the_place_is_the_innermost_frame_outside_the_standard_library() -> None:
    failure = describe(raised(lambda: json.loads("{")))
    assert failure.where.startswith("core/test_exit.py:")
    assert "raw_decode" in failure.trace


def test_what_failed_in_the_standard_library_alone_has_its_innermost_frame_for_a_place() -> None:
    error = raised(lambda: json.loads("{"))
    assert describe(inner(error, 2)).where.endswith(" in raw_decode")


def test_the_way_of_ours_to_what_failed_tells_nothing_apart() -> None:
    ways = [lambda: Lanes(unlucky).append(1), lambda: Lanes(unlucky).prepend([1])]
    assert len({describe(inner(raised(way), 2)).fingerprint for way in ways}) == 1
    assert len({describe(inner(raised(way), 1)).fingerprint for way in ways}) == 2, "a way of somebody else's does"


def test_a_trace_has_the_innermost_frames() -> None:
    made = _made("def made(n=30):\n    if not n:\n        raise ValueError('deep')\n    made(n - 1)\n")
    trace = describe(raised(made)).trace
    assert trace.count(", in made") == _FRAMES
    assert trace.endswith("line 3, in made\n")


def test_what_came_while_another_was_handled_was_caused_by_it_unless_that_is_denied() -> None:
    def meanwhile() -> None:
        try:
            unlucky("first")
        except ValueError:
            wrong_type()

    def instead(cause: Exception | None) -> None:
        try:
            unlucky("first")
        except ValueError:
            raise KeyError("second") from cause

    ways = [meanwhile, lambda: instead(TypeError("third")), lambda: instead(None)]
    causes = [re.findall("^caused by (.*)", describe(raised(way)).trace, re.MULTILINE) for way in ways]
    assert causes == [["ValueError: first"], ["TypeError: third"], []]


def test_the_same_failure_has_the_same_fingerprint_whatever_its_text() -> None:
    first, second = describe(raised(unlucky)), describe(raised(lambda: unlucky("other")))
    assert first.fingerprint == describe(raised(unlucky)).fingerprint
    assert first.fingerprint != describe(raised(also_unlucky)).fingerprint
    assert first.fingerprint != describe(raised(wrong_type)).fingerprint
    assert second.fingerprint != first.fingerprint  # another caller


def test_a_fingerprint_does_not_know_the_line() -> None:
    lines = {describe(raised(lambda: unlucky("a"))).fingerprint, describe(raised(lambda: unlucky("b"))).fingerprint}
    assert len(lines) == 1


def test_only_the_three_innermost_places_count() -> None:
    assert fingerprint("E", ("a", "b", "c", "d")) == fingerprint("E", ("x", "b", "c", "d"))
    assert fingerprint("E", ("b", "c", "d")) != fingerprint("E", ("b", "c", "x"))
    assert fingerprint("E", ()) != fingerprint("F", ())


def test_a_group_is_flattened_and_named_after_its_leaves() -> None:
    error = of(ValueError("a"), of(ValueError("b"), ValueError("c")))
    failure = describe(error)
    assert failure.type == "ValueError"
    assert [part.text for part in failure.parts] == ["a", "b", "c"]
    assert failure.fingerprint == failure.parts[0].fingerprint


def test_a_group_of_several_kinds_stays_a_group() -> None:
    assert describe(of(ValueError("a"), TypeError("b"))).type == "ExceptionGroup"


def test_leaves_and_the_only_one() -> None:
    one = ValueError("a")
    assert leaves(one) == [one]
    assert alone(of(of(one))) is one
    both = of(one, ValueError("b"))
    assert alone(both) is both
    assert alone(one) is one


def test_ctrl_c_that_was_pressed_again_is_one_and_ends_the_process_wherever_it_stands() -> None:
    first, again = KeyboardInterrupt(), KeyboardInterrupt()
    assert alone(BaseExceptionGroup("", [first, again])) is first
    with_others = BaseExceptionGroup("", [ValueError(), BaseExceptionGroup("", [first])])
    assert alone(with_others) is with_others
    assert [ends_process(error) for error in (first, SystemExit(1), with_others)] == [True] * 3
    assert not ends_process(of(ValueError(), TypeError()))


@pytest.mark.parametrize("how", ["__str__", "after"])
def test_ctrl_c_in_what_an_error_says_of_itself_is_no_broken_text(how: str) -> None:
    def interrupted(_self: object) -> NoReturn:
        raise KeyboardInterrupt

    kind = type("Slow", (Exception,), {how: property(interrupted) if how == "after" else interrupted})
    with pytest.raises(KeyboardInterrupt):
        describe(kind("text"))


def test_a_text_that_cannot_be_read_hides_nothing() -> None:
    failure = describe(Odd())
    assert failure.text == "<its text could not be read>"
    assert failure.type.endswith("test_exit.Odd")


def test_what_no_encoding_has_a_word_for_is_written_out() -> None:
    """A file name that is no UTF-8, in the text, in that of a cause, or in the path of the program."""
    made = _made("def made():\n    raise ValueError('unlucky')\n", "made/\udcff.py")
    failures = [describe(raised(lambda: unlucky("no \udcff"))), describe(raised(made))]
    caused = ValueError("b")
    caused.__cause__ = ValueError("a \udcff")
    failures.append(describe(caused))
    for failure in failures:
        told = failure.type + failure.text + failure.where + failure.trace
        assert told.encode().decode() == told
        assert "\\udcff" in told
    assert failures[0].text == "no \\udcff"
    assert failures[1].where == "made/\\udcff.py:2 in made"
    assert describe(ValueError("größer")).text == "größer"


def test_a_long_text_is_cut() -> None:
    assert len(describe(ValueError("x" * 10_000)).text) == 2000


@pytest.mark.parametrize(("after", "read"), [(7, 7.0), (0.5, 0.5), (None, None)])
def test_how_long_the_other_side_asked_us_to_wait(after: float | None, read: float | None) -> None:
    assert describe(RateLimited(after)).after == read


def test_what_is_called_after_and_is_no_number_is_not_taken_for_one() -> None:
    error = ValueError("x")
    error.after = True  # type: ignore[attr-defined]
    assert describe(error).after is None
    error.after = "soon"  # type: ignore[attr-defined]
    assert describe(error).after is None
    for after in (10**400, -1, math.inf, math.nan):
        error.after = after  # type: ignore[attr-defined]
        assert describe(error).after is None


def test_failures_are_values() -> None:
    assert Failure("E", "t") == Failure("E", "t")
    assert hash(Failure("E")) == hash(Failure("E"))
    assert traceback.__name__ not in Failure("E").trace


def group(text: str, *errors: Exception) -> Exception:
    return ExceptionGroup(text, list(errors))


def test_a_group_as_deep_as_no_stack_is_told_by_what_is_in_it() -> None:
    error: Exception = ValueError("at the bottom")
    for depth in range(3000):
        error = group(str(depth), error)
    assert [str(leaf) for leaf in leaves(error)] == ["at the bottom"]
    assert describe(error).type == "ValueError"


def test_the_order_of_leaves_is_theirs() -> None:
    inner = group("inner", ValueError("2"), ValueError("3"))
    outer = group("outer", ValueError("1"), inner, ValueError("4"))
    assert [str(leaf) for leaf in leaves(outer)] == ["1", "2", "3", "4"]


def test_what_cannot_be_asked_about_its_fields_is_described_as_itself() -> None:
    class Guarded(Exception):
        @property
        def after(self) -> float:
            raise RuntimeError("not to be read")

        @property
        def response(self) -> object:
            raise RuntimeError("not to be read")

    assert describe(Guarded("text")).text == "text"
    assert rate_limit_of(Guarded("text")) is None


def _made(source: str, file: str = "made/up.py") -> Callable[[], object]:
    """A function of its own, from a file that nobody has."""
    found: dict[str, Callable[[], object]] = {}
    exec(compile(source, file, "exec"), found)
    return found["made"]


def test_code_that_takes_the_place_of_other_code_is_told_by_its_own_lines() -> None:
    told: list[Failure] = []
    for lines in range(1, 60):
        made = _made("\n" * lines + "def made():\n    raise ValueError('unlucky')\n")
        told.append(describe(raised(made)))
        del made
    assert [failure.where for failure in told] == [f"made/up.py:{lines + 2} in made" for lines in range(1, 60)]
    assert len({failure.fingerprint for failure in told}) == 1


def test_places_in_one_function_are_told_apart_and_the_same_one_alike() -> None:
    made = _made(
        "def made(n=[0]):\n    n[0] += 1\n    if n[0] % 2:\n        raise ValueError(1)\n    raise ValueError(2)\n"
    )
    first, second, third = (describe(raised(made)) for _ in range(3))
    assert (first.where, second.where) == ("made/up.py:4 in made", "made/up.py:5 in made")
    assert (third.where, third.text) == (first.where, "1")


def test_ways_that_are_remembered_are_not_more_than_so_many() -> None:
    for n in range(_PLACES + 10):
        describe(raised(_made(f"def made():\n    raise ValueError({n})\n")))
        assert len(_KNOWN) <= _PLACES


def test_a_recursion_is_told_and_not_remembered() -> None:
    made = _made("def made(n=100):\n    if not n:\n        raise ValueError('deep')\n    made(n - 1)\n")
    _KNOWN.clear()
    assert describe(raised(made)).where == "made/up.py:3 in made"
    assert not _KNOWN


def test_what_fails_as_it_did_before_is_the_same_value() -> None:
    first = describe(raised(unlucky), message_kind="Add")
    assert describe(raised(unlucky), message_kind="Add") is first
    assert failed_by(raised(unlucky), None, "Add") is failed_by(raised(unlucky), None, "Add")


def test_one_with_a_message_is_not_what_one_without_says_next() -> None:
    made = _made("def made():\n    raise ValueError('unlucky')\n")
    for message in ("m7", None, "m8", None):
        assert describe(raised(made), message=message).message == message


def test_whatever_differs_is_told_anew() -> None:
    def caused() -> BaseException:
        error = raised(unlucky)
        error.__cause__ = KeyError("the cause")
        return error

    def late() -> BaseException:
        error: Any = raised(unlucky)
        error.after = 2.0
        return error

    first = describe(raised(unlucky), message_kind="Add")
    others = [
        describe(raised(unlucky)),
        describe(raised(unlucky), message_kind="Take"),
        describe(raised(unlucky), message="m7", message_kind="Add"),
        describe(raised(lambda: unlucky("other")), message_kind="Add"),
        describe(caused(), message_kind="Add"),
        describe(late(), message_kind="Add"),
    ]
    assert len({first, *others}) == 7
    kinds = [other.message_kind for other in others]
    assert kinds == [None, "Take", "Add", "Add", "Add", "Add"]
    assert others[2].message == "m7"
    assert others[3].text == "other"
    assert "the cause" in others[4].trace
    assert others[5].after == 2.0
    assert describe(raised(unlucky), message_kind="Add") == first


def test_a_long_text_is_not_remembered() -> None:
    text = "x" * 1_000
    made = _made(f"def made():\n    raise ValueError({text!r})\n")
    assert describe(raised(made)) == describe(raised(made))
    assert all(way.last is None or len(way.last.failure.text) < 1_000 for way in _KNOWN.values())
