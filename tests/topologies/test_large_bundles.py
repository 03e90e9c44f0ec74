"""Large values in a bundle: each once, in pieces, so that no more than a piece of one is ever in memory."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import evolve

from treewarden.agents.errors import JournalDamaged
from treewarden.supervisor.core.bundle import sealed, unsealed
from treewarden.supervisor.journal.exporting import bundle_of, read_bundle
from treewarden.supervisor.journal.port import Commit, StateRow
from treewarden.supervisor.journal.reading import JournalFile

from ..journals import checkpoint, message, on_disk, state

PIECE = 65_536
TEXT = "ä€\n" * 60_000
NESTED: dict[str, Any] = {"text": TEXT, "list": [f"entry {number}" for number in range(20_000)], "rest": [1, None, 2.5]}
NESTED["deep"] = [{"a": [TEXT[1:], *NESTED["list"]]}]


def text(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))


def written(file: Path, body: str) -> Path:
    """A journal in which three rows hold the same value, and one a part of it."""

    async def write() -> None:
        async with on_disk(file) as journal:
            rows = (evolve(message(1), body=body), evolve(message(2), body=text([TEXT])))
            kept = evolve(checkpoint(1), body=body)
            await journal.commit(Commit(states=(evolve(state(1), body=body),), accepted=rows, checkpoints=(kept,)))

    trio.run(write)
    return file


def records(file: Path) -> list[dict[str, Any]]:
    with JournalFile.open(file) as journal:
        return list(bundle_of(journal))


def states(file: Path) -> list[StateRow]:
    with JournalFile.open(file) as journal:
        assert journal.check_rows().faults == ()
        assert journal.blobs().unused == 0
        return [*journal.states()]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return written(tmp_path / "desk.db", text(NESTED))


def test_each_value_stands_once_and_in_pieces(file: Path, tmp_path: Path) -> None:
    found = records(file)
    pieces = [each for each in found if each["type"] == "blob"]
    assert len({each["hash"] for each in pieces}) == sum(1 for each in pieces if each.get("end")) == 4
    assert sum(len(each["text"]) for each in pieces) < 1.2 * len(text(NESTED))
    assert max(len(line) for line in sealed(found)) < 3 * PIECE
    read_bundle(sealed(found), tmp_path / "copy.db")
    assert states(tmp_path / "copy.db") == states(file)
    assert records(tmp_path / "copy.db") == found


def test_a_bundle_of_the_format_before_is_read(file: Path, tmp_path: Path) -> None:
    with JournalFile.open(file) as journal:
        whole = {"states": text(NESTED), "checkpoints": text(NESTED)}
        assert journal.states()[0].body == whole["states"]
    found = [each for each in records(file) if each["type"] != "blob" and each.get("table") != "mailbox"]
    found[0]["v"] = 1
    for each in found:
        if each.get("table") in whole:
            each["row"]["body"] = whole[each["table"]]
    read_bundle(sealed(found), tmp_path / "copy.db")
    assert states(tmp_path / "copy.db") == states(file)


def _other_text(found: list[dict[str, Any]], first: int) -> None:
    found[first]["text"] = "!" + found[first]["text"][1:]


def _shorter(found: list[dict[str, Any]], first: int) -> None:
    del found[first]


def _too_long(found: list[dict[str, Any]], first: int) -> None:
    found[first]["text"] = "x" * 200_001


def _no_end(found: list[dict[str, Any]], first: int) -> None:
    end = next(place for place, each in enumerate(found) if each.get("end"))
    del found[end]


def _twice(found: list[dict[str, Any]], first: int) -> None:
    end = next(place for place, each in enumerate(found) if each.get("end"))
    found[end + 1 : end + 1] = found[first : end + 1]


def _after_its_row(found: list[dict[str, Any]], first: int) -> None:
    ends = [place for place, each in enumerate(found) if each.get("end")]
    found[:] = found[:first] + found[ends[-1] + 1 :] + found[first : ends[-1] + 1]


def _other_size(found: list[dict[str, Any]], first: int) -> None:
    row = next(each["row"] for each in found if each.get("table") == "states")
    size, _, rest = row["body"].partition(" ")
    row["body"] = f"@{int(size[1:]) + 1} {rest}"


def _other_place(found: list[dict[str, Any]], first: int) -> None:
    row = next(each["row"] for each in found if each.get("table") == "states")
    row["body"] = row["body"].replace('["text"]', "[null]")


def _not_json(found: list[dict[str, Any]], first: int) -> None:
    row = next(each["row"] for each in found if each.get("table") == "states")
    row["body"] = row["body"][:-1] + "]"


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (_other_text, "is not what was written"),
        (_shorter, "is not what was written"),
        (_too_long, "has 200001 characters"),
        (_no_end, "must be that of the line before it"),
        (_twice, "has come before"),
        (_after_its_row, "does not lead to large values of the bundle"),
        (_other_size, "it must say its"),
        (_other_place, "and places in it"),
        (_not_json, "line "),
    ],
)
def test_what_is_wrong_with_one_is_found(
    damage: Callable[[list[dict[str, Any]], int], None], why: str, file: Path, tmp_path: Path
) -> None:
    found = records(file)
    damage(found, next(place for place, each in enumerate(found) if each["type"] == "blob"))
    with pytest.raises(JournalDamaged, match=why):
        read_bundle(sealed(found), tmp_path / "copy.db")
    assert [path.name for path in tmp_path.glob("copy*")] == []


@pytest.mark.parametrize("value", ["x" * 12_000_000, ["x" * 1000] * 12_000], ids=["text", "texts"])
def test_memory_is_that_of_some_pieces(value: Any, tmp_path: Path) -> None:
    file, bundle = written(tmp_path / "desk.db", text(value)), tmp_path / "bundle.jsonl"
    tracemalloc.start()
    try:
        with JournalFile.open(file) as journal, bundle.open("w", encoding="utf-8") as lines:
            lines.writelines(sealed(bundle_of(journal)))
        with bundle.open(encoding="utf-8", newline="\n") as lines:
            read_bundle(lines, tmp_path / "copy.db")
        with JournalFile.open(tmp_path / "copy.db") as journal:
            assert journal.check_rows().faults == ()
            assert journal.verify().sound
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 30 * PIECE
    assert states(tmp_path / "copy.db") == states(file)


KILLED = """
import os, signal, sys
from treewarden.supervisor.journal.exporting import read_bundle

def lines(file):
    for number, line in enumerate(open(file, encoding="utf-8", newline="\\n")):
        if number == int(sys.argv[3]):
            os.kill(os.getpid(), signal.SIGKILL)
        yield line

read_bundle(lines(sys.argv[1]), sys.argv[2])
"""


@pytest.mark.parametrize("number", [0, 3, 12])
def test_an_import_that_is_killed_leaves_no_journal(number: int, file: Path, tmp_path: Path) -> None:
    bundle, copy = tmp_path / "bundle.jsonl", tmp_path / "copy.db"
    bundle.write_text("".join(sealed(records(file))), encoding="utf-8")
    command = [sys.executable, "-c", KILLED, str(bundle), str(copy), str(number)]
    assert subprocess.run(command, timeout=60).returncode == -signal.SIGKILL
    assert not copy.exists()
    (rest,) = [path for path in tmp_path.glob("copy*") if path.suffix == ".importing"]
    for path in tmp_path.glob(f"{rest.name}*"):
        path.unlink()
    read_bundle(list(unsealed_lines(bundle)), copy)
    assert states(copy) == states(file)


def unsealed_lines(bundle: Path) -> list[str]:
    lines = bundle.read_text("utf-8").splitlines(keepends=True)
    assert len(list(unsealed(lines))) == len(lines) - 1
    return lines
