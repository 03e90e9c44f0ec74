"""What differs between two states."""

from __future__ import annotations

import copy
import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treewarden.supervisor.core import diff as diffs
from treewarden.supervisor.core.diff import ABSENT, Change, diff, diff_in_slices

DATA = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["", "a", "b"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["a", "b", "a/b", "~", ""]), inner),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, []),
        ({"a": 1}, {"a": 2}, [Change("/a", 1, 2)]),
        ({"a": 1}, {"b": 1}, [Change("/a", 1, ABSENT), Change("/b", ABSENT, 1)]),
        ({"a": {"b/c~": [1]}}, {"a": {"b/c~": [2]}}, [Change("/a/b~1c~0/0", 1, 2)]),
        ([1, 2, 3], [1, 9, 2, 3], [Change("/1", ABSENT, 9)]),
        ([1, 2, 3], [2, 3], [Change("/0", 1, ABSENT)]),
        ([1, 2, 3], [1, 5, 3, 4], [Change("/1", 2, 5), Change("/3", ABSENT, 4)]),
        ([{"x": 1}], [{"x": 2}], [Change("/0/x", 1, 2)]),
        ([[1]], [{"0": 1}], [Change("/0", [1], {"0": 1})]),
        (1, True, [Change("", 1, True)]),
        ([1], [True], [Change("/0", 1, True)]),
        ({"a": None}, {}, [Change("/a", None, ABSENT)]),
    ],
)
def test_a_change_is_told_where_it_is(before: Any, after: Any, changes: list[Change]) -> None:
    assert list(diff(before, after)) == changes


@given(DATA)
def test_equal_values_do_not_differ(data: Any) -> None:
    assert list(diff(data, copy.deepcopy(data))) == []


@given(DATA, DATA)
def test_the_changes_lead_from_one_to_the_other(before: Any, after: Any) -> None:
    changes = list(diff(before, after))
    assert _plain(_changed(copy.deepcopy(before), changes)) == _plain(after)
    assert bool(changes) == (_plain(before) != _plain(after))


@given(DATA, DATA, st.integers(1, 5))
def test_they_are_the_same_in_slices(before: Any, after: Any, values: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(diffs, "_SLICE", values)
        found = list(diff_in_slices(before, after))
    assert [each for each in found if each is not None] == list(diff(before, after))


FLAT = [*range(10)] * diffs._SLICE  # pyright: ignore[reportPrivateUsage]
TABLE = {str(place): value for place, value in enumerate(FLAT)}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (FLAT, FLAT),
        (FLAT, [-1] * len(FLAT)),
        (FLAT, []),
        ([FLAT], [FLAT]),
        (TABLE, TABLE),
        (TABLE, {}),
        ({}, TABLE),
        ([TABLE], [TABLE]),
        (TABLE, {key: [value] for key, value in TABLE.items()}),
    ],
)
def test_of_many_values_few_are_looked_at_at_once(before: Any, after: Any) -> None:
    assert sum(found is None for found in diff_in_slices(before, after)) >= 9


def test_no_more_keys_of_a_table_in_a_list_are_looked_up_at_once() -> None:
    asked, pauses = Counter[int](), 0

    class Key(str):
        __slots__ = ()

        def __hash__(self) -> int:
            asked[pauses] += 1
            return super().__hash__()

    before, after = ({Key(key): value for key, value in TABLE.items()} for _ in range(2))
    asked.clear()
    for found in diff_in_slices([before, 1], [after, 2]):
        pauses += found is None
    assert 0 < max(asked.values()) <= 4 * diffs._SLICE  # pyright: ignore[reportPrivateUsage]


def test_what_is_nested_deeply_takes_no_longer() -> None:
    before, after = [*FLAT, 1], [*FLAT, 2]
    shallow = sum(found is None for found in diff_in_slices(before, after))
    for _ in range(50):
        before, after = [before], [after]
    assert sum(found is None for found in diff_in_slices(before, after)) <= 3 * shallow


def _plain(data: Any) -> str:
    return json.dumps(data, sort_keys=True)


def _changed(data: Any, changes: list[Change]) -> Any:
    """Apply what is told: what goes from lists from the end, so that places stay what they were."""
    root = {"": data}
    gone = [each for each in changes if each.after is ABSENT]
    for each in (*reversed(gone), *(each for each in changes if each.after is not ABSENT)):
        *way, last = [part.replace("~1", "/").replace("~0", "~") for part in ("" + each.at).split("/")]
        holder: Any = root
        for part in way:
            holder = holder[part if isinstance(holder, dict) else int(part)]
        if not isinstance(holder, dict):
            place = int(last)
            if each.after is ABSENT:
                del holder[place]
            elif each.before is ABSENT:
                holder.insert(place, each.after)
            else:
                holder[place] = each.after
        elif each.after is ABSENT:
            del holder[last]
        else:
            holder[last] = each.after
    return root[""]
