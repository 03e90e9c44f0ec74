"""Bits of the file that flip: no event or row is ever read as another one than was written."""

from __future__ import annotations

import pathlib
import random
from collections.abc import Iterator

import pytest

from treewarden.supervisor.core.chain import Head, verify

from . import flipping
from .explorer.checks import Found, look
from .explorer.scribe import workloads
from .explorer.vfs import Vfs, mounted
from .explorer.workload import record

FLIPS = 600
ROW_FLIPS = 600


@pytest.fixture
def vfs() -> Iterator[Vfs]:
    with mounted() as vfs:
        yield vfs


def test_an_event_that_was_changed_is_found_whichever_bit_it_was(vfs: Vfs) -> None:
    workload = next(each for each in workloads(0) if each.name == "closed")
    record(workload, vfs)
    (name,) = files = vfs.disk.files
    sound = look(vfs, files)
    assert isinstance(sound, Found)
    chance, found, harmless = random.Random(0), 0, 0
    for _ in range(FLIPS):
        data = bytearray(files[name])
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        seen = look(vfs, {name: bytes(data)})
        if not isinstance(seen, Found) or not verify(seen.chain, Head(seen.head.seq, sound.head.hash)).sound:
            found += 1
        else:
            assert seen.tables["events"] == sound.tables["events"]
            harmless += 1
    assert found + harmless == FLIPS
    assert min(found, harmless) > FLIPS // 50, (found, harmless)  # most of so small a file is empty pages


async def test_a_row_that_was_changed_is_found_whichever_bit_it_was(tmp_path: pathlib.Path) -> None:
    data = await flipping.write(tmp_path / "tree.db")
    sound = flipping.look(bytes(data))
    assert (sound.at_open, sound.by_check) == (False, False)
    # Where there is something: else most flips would hit what is empty. Every 70th byte of the large value is enough.
    places = [at for at, byte in enumerate(data) if byte and (byte != ord("x") or at % 70 == 0)]
    chance, at_open, by_check = random.Random(0), 0, 0
    for at in chance.sample(places, min(ROW_FLIPS, len(places))):
        bit = 1 << chance.randrange(8)
        data[at] ^= bit
        seen = flipping.look(bytes(data))
        data[at] ^= bit
        at_open += seen.at_open
        by_check += seen.by_check and not seen.at_open
        assert seen.at_open or seen.by_check or seen.values == sound.values, (at, bit)
    assert at_open > ROW_FLIPS // 4, (at_open, by_check)
    assert by_check > 0
