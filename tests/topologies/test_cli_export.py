"""`treewarden journal export` and `import`: everything comes back, secrets stay, damage is refused by its line."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import sqlite3
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from treewarden.agents.core.path import Path as Slot
from treewarden.agents.errors import JournalDamaged
from treewarden.supervisor.core.bundle import sealed
from treewarden.supervisor.core.event import CommandAnswered, Recorded
from treewarden.supervisor.journal.exporting import bundle_of, read_bundle
from treewarden.supervisor.journal.port import Commit, MessageRow, ReplyRow, StateRow, TimerRow
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.topologies.cli import main

from ..journals import DESK, WALL, checkpoint, dead, message, on_disk, timer

SHOP, DESK_LAMP, DESKTOP = Slot("shop"), Slot("desk/lamp"), Slot("desktop")
TABLES = ("events", "states", "checkpoints", "mailbox", "dead_letters", "replies", "timers")


def written(file: Path, *commits: Commit) -> Path:
    async def write() -> None:
        async with on_disk(file) as journal:
            for commit in commits:
                await journal.commit(commit)

    trio.run(write)
    return file


def fact(n: int, path: Slot = DESK, **facts: Any) -> tuple[float, Recorded]:
    return (WALL + n, Recorded(path=path, kind="counted", facts={"n": n, **facts}))


def state(path: Slot, body: str, settled: int = 1) -> StateRow:
    return StateRow(path, "desk:Tally", body, 1, settled)


def full(file: Path) -> Path:
    big = json.dumps({"text": "x" * 100_000}, separators=(",", ":"))
    return written(
        file,
        Commit(accepted=(message(1), message(2, SHOP), message(3, DESK_LAMP), message(4, DESKTOP))),
        Commit(events=(fact(1), fact(2, SHOP, api_key="s3cret")), states=(state(DESK, '{"total":1}'),)),
        Commit(events=(fact(3, DESK_LAMP),), states=(state(SHOP, '{"Token":"s3cret","a":[{"token":[1]}]}'),)),
        Commit(events=(fact(4, DESKTOP),), states=(state(DESK_LAMP, big),), acked=(3,)),
        Commit(dead=(dead(1),), timers=(timer("tick", 5.5), TimerRow(SHOP, "tick", 6.5))),
        Commit(events=(fact(5),), replies=(ReplyRow("t-1>x", DESK, "int", "5"),)),
    )


def content(file: Path) -> dict[str, list[Any]]:
    with closing(sqlite3.connect(file)) as connection:
        tables = {table: connection.execute(f"SELECT * FROM {table}").fetchall() for table in TABLES}
        tables["meta"] = connection.execute("SELECT tree, seq, hash, last_row, epoch FROM meta").fetchall()
        return tables


def bundle(file: Path, path: str = "/", secrets: Sequence[str] = ()) -> list[str]:
    with JournalFile.open(file) as journal:
        return list(sealed(bundle_of(journal, Slot(path), secrets)))


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return full(tmp_path / "desk.db")


def test_a_whole_tree_comes_back(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["journal", "export", "desk.db", "-o", "desk.jsonl"]) == 0
    assert capsys.readouterr().out == "desk.jsonl: 19 lines of / in desk.db\n"
    assert main(["journal", "import", "desk.jsonl", "copy.db"]) == 0
    assert capsys.readouterr().out == "copy.db: 14 rows of /, 5 events as they were chained\n"
    assert content(Path("copy.db")) == content(file)
    assert main(["journal", "verify", "copy.db"]) == 0
    assert bundle(Path("copy.db")) == bundle(file)


def test_what_came_back_goes_on_as_a_tree_does(file: Path) -> None:
    read_bundle(bundle(file), "copy.db")
    written(Path("copy.db"), Commit(events=(fact(6),)))
    with JournalFile.open("copy.db") as journal:
        assert journal.head.seq == 6
        assert journal.verify().sound
        assert [record.epoch for record in journal.records(4)] == [1, 2]


def test_one_agent_and_what_is_below_it(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["journal", "export", "desk.db", "desk", "-o", "part.jsonl"]) == 0
    assert main(["journal", "import", "part.jsonl", "part.db"]) == 0
    assert capsys.readouterr().out.endswith("part.db: 8 rows of desk, 3 events chained anew\n")
    found = content(Path("part.db"))
    paths = {row[2] for row in found["events"]} | {row[0] for row in found["states"]}
    assert paths == {"desk", "desk/lamp"}
    assert [row[0] for row in found["events"]] == [1, 2, 3]
    assert [(row[0], row[5]) for row in found["states"]] == [("desk", 1), ("desk/lamp", 2)]
    with JournalFile.open("part.db") as journal:
        assert journal.verify().sound
        assert journal.timers(DESK) == {"tick": 5.5}
        assert len(journal.states()[1].body) > 100_000
        assert journal.mailboxes() == []


def test_secrets_never_leave(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("keys").write_text("API_KEY\n")
    assert main(["journal", "export", "desk.db", "-o", "safe.jsonl", "--secret", "token", "--secrets", "keys"]) == 0
    assert capsys.readouterr().out.endswith(" in desk.db, without values under token, API_KEY\n")
    text = Path("safe.jsonl").read_text()
    assert "s3cret" not in text
    assert text.count("[redacted]") >= 3
    assert sum(json.loads(line).get("redacted", 0) for line in text.splitlines()) == 3
    assert main(["journal", "import", "safe.jsonl", "safe.db"]) == 0
    assert main(["journal", "verify", "safe.db"]) == 0
    with JournalFile.open("safe.db") as journal:
        assert [each.body for each in journal.states() if each.path == SHOP] == [
            '{"Token":"[redacted]","a":[{"token":"[redacted]"}]}'
        ]


def test_the_timeline_can_be_read_by_people(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["journal", "export", "desk.db", "shop", "-o", "-"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (event,) = [line for line in lines if line.get("table") == "events"]
    assert event["when"] == "2027-01-15 08:00:02.000+00:00"
    assert event["text"] == "counted api_key=s3cret n=2"


@pytest.mark.parametrize("place", range(16))
def test_a_damaged_bundle_is_refused_by_its_line(place: int, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = bundle(file)
    middle = len(lines[place]) // 2
    changed = lines[place][:middle] + ("0" if lines[place][middle] != "0" else "1") + lines[place][middle + 1 :]
    Path("bad.jsonl").write_text("".join([*lines[:place], changed, *lines[place + 1 :]]))
    assert main(["journal", "import", "bad.jsonl", "new.db"]) == 2
    assert f"treewarden: bad.jsonl: the bundle is damaged: line {place + 1}: " in capsys.readouterr().err
    assert not list(Path().glob("new.db*"))


def test_a_bundle_goes_through_a_pipe(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    read, write = os.pipe()
    os.write(write, "".join(bundle(file, "shop")).encode())  # a few kB: a pipe has room for them
    os.close(write)
    before = os.dup(0)
    os.dup2(read, 0)
    os.close(read)
    try:
        assert main(["journal", "import", "-", "new.db"]) == 0
    finally:
        os.dup2(before, 0)
        os.close(before)
    with JournalFile.open("new.db") as journal:
        assert [each.path for each in journal.states()] == [SHOP]


def test_a_slot_that_a_refused_command_alone_has_named_never_was(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = CommandAnswered(path=Slot("dekc"), command="c1", what="send", by="ada", applied=False)
    written(file, Commit(events=((WALL, refused),)))
    assert main(["journal", "export", "desk.db", "dekc", "-o", "none.jsonl"]) == 2
    assert "no slot dekc was ever in this tree; did you mean desk" in capsys.readouterr().err
    assert not Path("none.jsonl").exists()


def test_events_that_were_forged_and_sealed_anew_break_the_chain(file: Path) -> None:
    with JournalFile.open(file) as journal:
        records = list(bundle_of(journal))
    records[2]["row"]["body"] = records[2]["row"]["body"].replace("2", "3")
    with pytest.raises(Exception, match="line 3: event 2: changed: this Recorded is not the event that was written"):
        read_bundle(sealed(records), "new.db")
    with JournalFile.open(file) as journal:
        records = [record for record in bundle_of(journal) if record.get("row", {}).get("seq") != 5]
    with pytest.raises(Exception, match="line 5: event 5: cut: event 5 is gone from the end"):
        read_bundle(sealed(records), "new.db")
    assert not list(Path().glob("new.db*"))


def test_rows_that_would_not_be_found_as_they_came_are_refused(file: Path) -> None:
    """Sealed anew by somebody: events in another order, a message without its number, a size that is another."""
    with JournalFile.open(file) as journal:
        records = list(bundle_of(journal))
    first = next(place for place, record in enumerate(records) if record.get("table") == "events")
    swapped = [*records[:first], records[first + 1], records[first], *records[first + 2 :]]
    with pytest.raises(Exception, match=f"line {first + 2}: events.seq is 1; it must be more than 2"):
        read_bundle(sealed(swapped), "new.db")
    with JournalFile.open(
        written(Path("other.db"), Commit(accepted=(message(1),), checkpoints=(checkpoint(2),)))
    ) as journal:
        records = list(bundle_of(journal))
    for table, column, value, why in (("mailbox", "row", None, "row is None"), ("checkpoints", "size", 9, "size is 9")):
        forged = copy.deepcopy(records)
        row = next(record["row"] for record in forged if record.get("table") == table)
        row[column] = value
        with pytest.raises(Exception, match=why):
            read_bundle(sealed(forged), "new.db")
    assert not list(Path().glob("new.db*"))


@pytest.mark.parametrize("text", [r'"\ud800"', "1e999", "NaN", "\udc80", "[" * 5000])
def test_a_line_that_nobody_can_have_sealed(text: str) -> None:
    with pytest.raises(Exception, match="the bundle is damaged: line 1: it is"):
        read_bundle([f'{{"type": {text}, "seal": "x"}}\n'], "new.db")


@pytest.mark.parametrize(
    ("record", "why"),
    [
        ({"type": "row", "table": "owner", "row": {}}, "its table is 'owner'; it must be"),
        ({"type": "row", "table": "timers", "row": {"path": "a"}}, "timers has the columns path, name, at, epoch"),
        ({"type": "row", "table": "timers", "row": {"path": "a", "name": "b", "at": "x", "epoch": 1}}, "at is 'x'"),
        ({"type": "row", "table": "timers", "row": {"path": "a", "name": "b", "at": 1, "epoch": 2**80}}, "be 0 to 1"),
        ({"type": "row", "table": "timers", "row": {"path": "a", "name": "b", "at": 1, "epoch": True}}, "type INTEGER"),
        ({"type": "row", "table": "timers", "row": {"path": "a", "name": 5, "at": 1, "epoch": 1}}, "of type TEXT"),
        ({"type": "else"}, "its type is 'else'; it must be row"),
    ],
)
def test_what_is_no_row(record: dict[str, Any], why: str, file: Path) -> None:
    with JournalFile.open(file) as journal:
        records = [*bundle_of(journal), record]
    with pytest.raises(Exception, match=f"line {len(records)}: .*{why}"):
        read_bundle(sealed(records), "new.db")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tree", 5),
        ("tree", "../x"),
        ("path", "a//b"),
        ("epoch", -1),
        ("epoch", 2**63 - 1),
        ("last_row", "x"),
        ("last_row", None),
        ("head", 5),
        ("head", {"seq": 1, "hash": "zz"}),
        ("same_chain", 1),
    ],
)
def test_a_header_that_says_what_cannot_be_is_refused(name: str, value: Any, file: Path) -> None:
    with JournalFile.open(file) as journal:
        header, *records = bundle_of(journal)
    with pytest.raises(JournalDamaged, match=f"line 1: its header has .* under {name}; it must be"):
        read_bundle(sealed([header | {name: value}, *records]), "new.db")
    assert not list(Path().glob("new.db*"))


def test_a_bundle_counts_on_from_what_its_lines_hold(file: Path) -> None:
    with JournalFile.open(file) as journal:
        header, *records = bundle_of(journal)
    with pytest.raises(
        JournalDamaged, match="line 1: what it counts is not what the lines hold: last_row it is 1, and"
    ):
        read_bundle(sealed([header | {"last_row": 1}, *records]), "new.db")


def test_a_line_that_never_ends_is_not_read_to_its_end(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = Path("it.jsonl")
    assert main(["journal", "export", "desk.db", "-o", "it.jsonl"]) == 0
    longest = max(map(len, bundle.read_text().splitlines(keepends=True)))
    monkeypatch.setattr("treewarden.topologies.commands.exporting._LONGEST", longest + 1)
    assert main(["journal", "import", "it.jsonl", "it.db"]) == 0
    with bundle.open("a") as end:
        end.write("x" * (longest + 1))
    for endless, line in (("it.jsonl", len(bundle.read_text().splitlines())), ("/dev/zero", 1)):
        capsys.readouterr()
        assert main(["journal", "import", endless, "again.db"]) == 2
        assert f"line {line}: it has {longest + 1} characters, and more" in capsys.readouterr().err
    assert not list(Path().glob("again.db*"))


def test_what_cannot_be_exported_or_imported(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("there").touch()
    header = {"type": "bundle", "v": 3, "schema": 1}
    Path("newer.jsonl").write_text("".join(sealed([header])))
    Path("other.jsonl").write_text("".join(sealed([{"type": "row"}])))
    for words, why in (
        ("export desk.db disk -o x", "no slot disk was ever in this tree; did you mean desk"),
        ("export desk.db -o there", "there is there already: name a new file"),
        ("export none.db -o x", "there is no journal none.db"),
        ("import none new.db", "none cannot be read: No such file"),
        ("import desk.jsonl there", "cannot be read"),
        ("import newer.jsonl there", "there is there already"),
        ("import newer.jsonl new.db", "this bundle is of format 3 and schema 1; this treewarden reads up to 2 and"),
        ("import other.jsonl new.db", "line 1: it is no header of a bundle"),
    ):
        assert main(["journal", *words.split()]) == 2
        assert why in capsys.readouterr().err
    assert not list(Path().glob("new.db*"))


def test_a_key_that_hides_nothing_is_told_of(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("none").touch()
    Path("bytes").write_bytes(b"\xff")
    for words, why in (
        (("--secret", "password,token"), "'password,token' is no key: give one, and --secret again for each other"),
        (("--secret", ""), "'' is no key"),
        (("--secrets", "none"), "none names no key, so nothing would be left out"),
        (("--secrets", "bytes"), "bytes cannot be read: it is no text in UTF-8"),
    ):
        assert main(["journal", "export", "desk.db", "-o", "x", *words]) == 2
        assert why in capsys.readouterr().err
    assert not Path("x").exists()
    for output in ("x", "-"):
        assert main(["journal", "export", "desk.db", "-o", output, "--secret", "amuont", "--secret", "AMOUNT"]) == 0
        told = capsys.readouterr().err
        assert told == "treewarden: nothing stands under 'amuont' anywhere in desk.db: look whether it is spelled so\n"


paths = st.sampled_from([DESK, SHOP, DESK_LAMP, DESKTOP])
texts = st.text(st.characters(codec="utf-8"), max_size=8)


def _body(text: str, size: int) -> str:
    return json.dumps({"text": text * size}, ensure_ascii=False, separators=(",", ":"))


bodies = st.builds(_body, texts, st.sampled_from([0, 1, 20_000]))


@st.composite
def histories(draw: st.DrawFn) -> tuple[Commit, ...]:
    commits: list[Commit] = []
    for row in range(1, draw(st.integers(1, 6))):
        path = draw(paths)
        waits = MessageRow(path, row, f"t-{row}", "desk:Add", draw(bodies), draw(st.none() | paths), at=WALL + row)
        events = tuple(fact(n, path, text=draw(texts)) for n in range(draw(st.integers(0, 2))))
        states = (state(path, draw(bodies), row),) if draw(st.booleans()) else ()
        commits.append(Commit(accepted=(waits,), events=events, states=states, timers=(timer("t", row / 3, path),)))
    return tuple(commits)


@given(history=histories(), path=st.sampled_from(["/", "desk", "shop"]))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_journal_comes_back(
    history: tuple[Commit, ...], path: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("any")
    original = written(folder / "desk.db", *history)
    imported = read_bundle(bundle(original, path), folder / "copy.db")
    assert imported.same_chain == (path == "/")
    before, after = content(original), content(folder / "copy.db")
    if path == "/":
        assert after == before
    else:
        assert read_bundle(bundle(folder / "copy.db", path), folder / "again.db").rows == imported.rows
        assert {table: len(rows) for table, rows in content(folder / "again.db").items()} == {
            table: len(rows) for table, rows in after.items()
        }
    with JournalFile.open(folder / "copy.db") as journal:
        assert journal.verify().sound
        with JournalFile.open(original) as first:
            kept = [each for each in first.states() if each.path.is_within(Slot(path))]
        assert list(journal.states()) == kept


def test_one_that_is_interrupted_says_so_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The journal is closed behind whoever reads it, also where the interrupt comes while a line is made."""
    file, hashed, unheard = full(tmp_path / "tree.db"), iter(range(5)), list[object]()

    def interrupted(text: bytes) -> Any:
        if next(hashed) == 4:
            raise KeyboardInterrupt
        return hashlib.sha256(text)

    monkeypatch.setattr("treewarden.supervisor.core.bundle.sha256", interrupted)
    monkeypatch.setattr(sys, "unraisablehook", unheard.append)
    assert main(["journal", "export", str(file), "-o", str(tmp_path / "tree.jsonl")]) == 130
    assert (capsys.readouterr().err, unheard) == ("treewarden: interrupted\n", [])
    assert not (tmp_path / "tree.jsonl").exists()
