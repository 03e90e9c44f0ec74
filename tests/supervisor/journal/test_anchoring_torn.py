"""Heads of which a dead writer, or a power cut, has left a part: what is taken away, and what is a fault."""

from __future__ import annotations

import pathlib

import pytest
import trio.testing

from treewarden.agents.errors import ConfigurationError, JournalDamaged
from treewarden.supervisor.journal.anchoring import load_anchors

from .test_anchoring import KEY, read, run, write
from .test_anchoring import file as file
from .test_anchoring import heads as heads


@pytest.mark.parametrize(("written", "zeros"), [(20, 0), (20, 100), (0, 100)])
async def test_a_line_that_its_writer_died_over_is_taken_away(
    written: int, zeros: int, file: pathlib.Path, heads: pathlib.Path, autojump_clock: trio.testing.MockClock
) -> None:
    """Also where the power was cut and the disk had no more of it than its length."""
    await run(file, heads, 2)
    whole = read(heads)
    write(heads, whole + whole[:written] + "\0" * zeros)
    await run(file, heads, 1)
    assert [anchor.head.seq for anchor in load_anchors(heads, KEY).anchors] == [2, 3]
    assert load_anchors(heads, KEY).faults == ()


async def test_a_first_line_that_its_writer_died_over_is_taken_away(
    file: pathlib.Path, heads: pathlib.Path, autojump_clock: trio.testing.MockClock
) -> None:
    await run(file, heads, 2)
    write(heads, read(heads)[:60] + "\0" * 20)
    await run(file, heads, 1)
    assert [anchor.head.seq for anchor in load_anchors(heads, KEY).anchors] == [3]


@pytest.mark.parametrize("sector", [512, 4096])
@pytest.mark.parametrize("lost", ["first", "last", "both"])
async def test_of_a_line_in_two_sectors_a_power_cut_may_lose_one(
    sector: int, lost: str, file: pathlib.Path, heads: pathlib.Path, autojump_clock: trio.testing.MockClock
) -> None:
    """The end of the line may be there without its beginning. It is no fault of a journal that is sound."""
    await run(file, heads, 1)
    count = 1
    while len(read(heads)) <= sector:
        await run(file, heads, 1)
        count += 1
    whole = read(heads)
    begin = whole.rindex("\n", 0, -1) + 1
    head = "\0" * (sector - begin) if lost != "last" else whole[begin:sector]
    tail = "\0" * (len(whole) - sector) if lost != "first" else whole[sector:]
    assert head
    assert tail
    write(heads, whole[:begin] + head + tail)
    kept = load_anchors(heads, KEY)
    assert ([anchor.head.seq for anchor in kept.anchors], kept.faults) == ([*range(1, count)], ())
    await run(file, heads, 1)
    kept = load_anchors(heads, KEY)
    assert ([anchor.head.seq for anchor in kept.anchors], kept.faults) == ([*range(1, count), count + 1], ())


async def test_zeros_among_the_heads_are_a_fault(
    file: pathlib.Path, heads: pathlib.Path, autojump_clock: trio.testing.MockClock
) -> None:
    """Behind them a head was kept, so they were on the disk."""
    await run(file, heads, 1)
    line = read(heads)
    write(heads, line + "\0" * 20 + line[20:] + line)
    assert [str(fault.text) for fault in load_anchors(heads, KEY).faults] == ["line 2 of the heads is none"]
    with pytest.raises(JournalDamaged, match="line 2 of the heads is none; begin another file, and keep this one"):
        await run(file, heads, 1)


async def test_a_file_of_which_a_power_cut_has_left_the_length_only_is_said_to_be_one(
    file: pathlib.Path, heads: pathlib.Path
) -> None:
    write(heads, "\0" * 200)
    with pytest.raises(ConfigurationError, match=r"holds nothing but zeros, as a power cut leaves a file .*remove it"):
        await run(file, heads, 0)
    assert read(heads) == "\0" * 200


@pytest.mark.parametrize(
    "content", ["secret", '{"a": 1}', "two\nlines", '{"v":1,"tree":"another","ep', "two\n\0\0", "two\n\0\0\n", "a\0\n"]
)
async def test_of_a_file_of_another_kind_nothing_is_taken_away(
    content: str, file: pathlib.Path, heads: pathlib.Path, autojump_clock: trio.testing.MockClock
) -> None:
    """It is no line that its writer died over."""
    write(heads, content)
    with pytest.raises(ConfigurationError, match="ends in what is no head of this journal"):
        await run(file, heads, 1)
    assert read(heads) == content
