"""`treewarden journal verify`: every kind of damage is named, with its place; a live tree is checked as well."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final, TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from treewarden.agents.core.path import Path as Slot
from treewarden.supervisor.core.anchor import Anchor, anchor_line, hmac_sign, read_anchors
from treewarden.supervisor.core.chain import GENESIS, Head, link
from treewarden.supervisor.core.event import Recorded
from treewarden.supervisor.journal.batch import Mark, fold
from treewarden.supervisor.journal.port import Commit
from treewarden.supervisor.journal.schema import migrate
from treewarden.topologies.cli import main

from .cli_desk import begin, desk

KEY: Final = "correct horse battery staple"
SIGN: Final = hmac_sign(KEY.encode())
EVENTS: Final = 40
Found: TypeAlias = list[tuple[int, str]]


def stored(folder: Path, events: int = EVENTS) -> Path:
    """A journal with so many events, and heads of every tenth that are kept beside it."""
    file = folder / "desk.db"
    moments = tuple((1.5 * n, Recorded(path=Slot("desk"), kind="counted", facts={"n": n})) for n in range(events))
    batch = fold([Commit(events=moments)], Mark(), 1)
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        migrate(connection, 0)
        batch.apply(connection)
        mark = batch.after
        connection.execute("INSERT INTO meta VALUES (1, 'ab', 0, ?, ?, 1, 0, 1)", (mark.seq, mark.hash))
        connection.execute("COMMIT")
    heads = [Head(row[0], row[7]) for row in batch.events if row[0] % 10 == 0]
    (folder / "heads").write_text("".join(anchor_line(Anchor("ab", 1, 0.5, head), SIGN) for head in heads))
    (folder / "key").write_text(KEY)
    return file


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stored(tmp_path_factory.mktemp("original"))


@pytest.fixture
def file(original: Path, tmp_path: Path) -> Path:
    return copied(original, tmp_path)


def copied(original: Path, folder: Path) -> Path:
    for each in original.parent.iterdir():
        shutil.copy(each, folder)
    return folder / original.name


def damaged(file: Path, *statements: str) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def checked(capsys: pytest.CaptureFixture[str], file: Path, *options: str) -> tuple[int, dict[str, Any]]:
    code = main(["journal", "verify", str(file), "--json", *options])
    return code, json.loads(capsys.readouterr().out)


def with_heads(file: Path) -> Sequence[str]:
    return ("--head", str(file.parent / "heads"), "--key", str(file.parent / "key"))


def found(capsys: pytest.CaptureFixture[str], file: Path, *options: str) -> Found:
    code, said = checked(capsys, file, *options)
    assert (code, said["sound"]) == ((1, False) if said["faults"] else (0, True))
    return [(fault["seq"], fault["kind"]) for fault in said["faults"]]


@pytest.mark.parametrize("table", ["events", "meta", "states"])
def test_a_table_that_is_gone_is_a_damage(table: str, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(f"DROP TABLE {table}")
    assert main(["journal", "verify", str(file)]) == 1
    assert f"no such table: {table}" in capsys.readouterr().out
    if table == "events":
        assert main(["journal", "show", str(file)]) == 2
        assert capsys.readouterr().err.endswith("cannot be read: no such table: events. Restore it from a copy\n")


def test_a_journal_that_is_as_it_was_written(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["journal", "verify", str(file)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{file} is sound: 40 events, each as it was written",
        "  where it ends is the file's own word; --head proves that nothing was cut off or written anew",
    ]
    assert main(["journal", "verify", str(file), *with_heads(file)]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "  4 heads kept outside lead through it, the last at event 40"
    assert main(["journal", "verify", str(file), "--head", str(file.parent / "heads")]) == 0
    assert "their signatures were not checked (--key, --public-key)" in capsys.readouterr().out
    code, said = checked(capsys, file, *with_heads(file))
    assert code == 0
    assert (said["events"], said["heads"], said["anchored"], said["signatures_checked"]) == (40, 4, 40, True)


def cut(file: Path) -> None:
    """The end is gone, and the file's own count agrees."""
    damaged(
        file,
        "DELETE FROM events WHERE seq > 33",
        "UPDATE meta SET seq = 33, hash = (SELECT hash FROM events WHERE seq = 33)",
    )


def emptied(file: Path) -> None:
    damaged(file, "DELETE FROM events", "UPDATE meta SET seq = 0, hash = zeroblob(32)")


def rehashed(file: Path) -> None:
    """One event says something else, and all hashes are computed anew, as is the file's own head."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("UPDATE events SET body = '{}' WHERE seq = 13")
        rows = connection.execute(
            "SELECT seq, at, epoch, path, kind, version, body FROM events ORDER BY seq"
        ).fetchall()
        prev = GENESIS
        for seq, at, epoch, path, kind, version, body in rows:
            hash = link(prev, seq, at, epoch, path, kind, version, body)
            connection.execute("UPDATE events SET prev = ?, hash = ? WHERE seq = ?", (prev, hash, seq))
            prev = hash
        connection.execute("UPDATE meta SET hash = ?", (prev,))


def rehashed_with_heads(file: Path) -> None:
    """As `rehashed`, by someone who may also write the heads, and has no key."""
    rehashed(file)
    heads = file.parent / "heads"
    with closing(sqlite3.connect(file)) as connection:
        hashes = dict(connection.execute("SELECT seq, hash FROM events").fetchall())
    anew = [
        Anchor(old.tree, old.epoch, old.at, Head(old.head.seq, hashes[old.head.seq]))
        for old in read_anchors(heads.read_text().splitlines(keepends=True)).anchors
    ]
    heads.write_text("".join(anchor_line(anchor, hmac_sign(b"a guess of the key")) for anchor in anew))


def swapped(file: Path) -> None:
    damaged(
        file,
        "UPDATE events SET seq = -7 WHERE seq = 7",
        "UPDATE events SET seq = 7 WHERE seq = 21",
        "UPDATE events SET seq = 21 WHERE seq = -7",
    )


def inserted(file: Path, seq: int) -> None:
    """A row before all others, which is that of no event."""
    damaged(
        file, f"INSERT INTO events SELECT {seq}, at, path, kind, version, body, prev, hash, epoch FROM events LIMIT 1"
    )


def unparsable(file: Path) -> None:
    """Text that is none, and behind it a row that says something else."""
    damaged(
        file,
        "UPDATE events SET body = CAST(X'7BFF7D' AS TEXT) WHERE seq = 5",
        "UPDATE events SET body = '{}' WHERE seq = 30",
    )


Damage: TypeAlias = Callable[[Path], None]
DAMAGES: Final[tuple[tuple[Damage, Found], ...]] = (
    (lambda file: damaged(file, "UPDATE events SET body = body || ' ' WHERE seq = 1"), [(1, "changed")]),
    (lambda file: damaged(file, "UPDATE events SET at = at + 1e-6 WHERE seq = 17"), [(17, "changed")]),
    (lambda file: damaged(file, "UPDATE events SET hash = zeroblob(32) WHERE seq = 40"), [(40, "changed")]),
    (lambda file: damaged(file, "DELETE FROM events WHERE seq = 1"), [(1, "missing")]),
    (lambda file: damaged(file, "DELETE FROM events WHERE seq = 17"), [(17, "missing")]),
    (lambda file: inserted(file, 0), [(0, "disordered")]),
    (lambda file: inserted(file, -(2**63)), [(-(2**63), "disordered")]),
    (swapped, [(7, "swapped")]),
    (cut, [(34, "cut")]),
    (emptied, [(1, "empty")]),
    (rehashed, [(20, "rebuilt")]),
    (rehashed_with_heads, [(10, "forged"), (20, "forged"), (30, "forged"), (40, "forged")]),
    (unparsable, [(5, "unreadable"), (30, "changed")]),
)


@pytest.mark.parametrize(("damage", "expected"), DAMAGES)
def test_damage_is_named(damage: Damage, expected: Found, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damage(file)
    assert found(capsys, file, *with_heads(file)) == expected


def test_what_only_the_key_finds(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rehashed_with_heads(file)
    assert found(capsys, file) == []
    assert found(capsys, file, "--head", str(file.parent / "heads")) == []


def test_damage_in_sentences(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unparsable(file)
    assert main(["journal", "verify", str(file)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"{file} is damaged: 2 faults in 40 events",
        "  5: unreadable: a field of this row is not of its type",
        "  30: changed: this Recorded is not the event that was written",
    ]


def test_a_page_that_sqlite_cannot_read_hides_no_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = stored(tmp_path, 400)
    damaged(file, "UPDATE events SET body = '{}' WHERE seq = 395")
    with closing(sqlite3.connect(file)) as connection:
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        (root,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'events'").fetchone()
    content = bytearray(file.read_bytes())
    second = int.from_bytes(content[(root - 1) * size + 12 + 2 :][:2], "big")  # the place of the root's second cell
    page = int.from_bytes(content[(root - 1) * size + second :][:4], "big")
    content[(page - 1) * size] = 0xFF
    file.write_bytes(content)
    faults = found(capsys, file)
    assert faults[0][1] == "unreadable"
    assert faults[0][0] > 1
    assert faults[-1] == (395, "changed")


def test_rows_before_the_first_hide_no_page_that_cannot_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = stored(tmp_path)
    inserted(file, -3)
    damaged(file, "UPDATE events SET body = CAST(X'FF' AS TEXT) WHERE seq = 1")
    assert found(capsys, file) == [(-3, "disordered"), (1, "unreadable")]


@pytest.mark.parametrize("size", [100, 20_000])
def test_a_file_that_is_cut_off_is_damaged(size: int, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_bytes(file.read_bytes()[:size])
    code, said = checked(capsys, file, *with_heads(file))
    assert (code, said["sound"]) == (1, False)
    assert [fault["kind"] for fault in said["rows"]["faults"]] == ["structure"]


@pytest.mark.parametrize(
    ("sql", "table", "key"),
    [
        ("PRAGMA user_version = 2", "sqlite_schema", "states"),
        ("DELETE FROM meta", "meta", ""),
        ("UPDATE meta SET last_row = -1", "meta", "last_row"),
        ("UPDATE meta SET commits = 9223372036854775807", "meta", "commits"),
        ("UPDATE meta SET last_row = 6", "meta", "last_row"),
        ("UPDATE meta SET epoch = 9", "meta", "epoch"),
    ],
)
def test_what_the_file_counts_is_checked(
    sql: str, table: str, key: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged(
        file,
        "INSERT INTO dead_letters VALUES (1, 'desk', 'ab-7', 'k', 1, '1', 'why', 1.0, 7, NULL, 1, NULL, 2)",
        "INSERT INTO owner VALUES (1, 1, 'here', 1, '', '', '', 0.0, 0.0, 1)",
        "UPDATE meta SET last_row = 7",
    )
    assert main(["journal", "verify", str(file)]) == 0
    assert "1 row is from before rows had checksums" in capsys.readouterr().out
    damaged(file, sql)
    code, said = checked(capsys, file)
    assert code == 1
    assert (table, key) in [(fault["table"], fault["key"]) for fault in said["rows"]["faults"]]


def test_what_another_program_has_counted_for_its_plans_is_no_damage(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged(file, "ANALYZE")
    code, said = checked(capsys, file)
    assert (code, said["sound"], said["rows"]["faults"]) == (0, True, [])
    damaged(file, "CREATE INDEX of_ours ON events (at)", "ANALYZE")
    code, said = checked(capsys, file)
    assert (code, [fault["key"] for fault in said["rows"]["faults"]]) == (1, ["of_ours"])


def test_a_byte_anywhere_in_an_event(original: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of the raw file: found where it is, whatever it is."""
    content = original.read_bytes()
    for seq in (1, 2, 39):
        text = f'{{"facts":{{"n":{seq - 1}}},"kind":"counted"'.encode()
        place = content.index(text)
        for offset in (2, 10, len(text) - 1):
            changed = bytearray(content)
            changed[place + offset] ^= 0x01
            file = tmp_path / "changed.db"
            file.write_bytes(changed)
            assert found(capsys, file) == [(seq, "changed")]


@given(data=st.data())
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_damage_is_found_where_it_is(
    data: st.DataObject, original: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = copied(original, tmp_path)
    seq = data.draw(st.integers(1, EVENTS))
    column = data.draw(st.sampled_from(["at", "path", "kind", "version", "body", "prev", "hash", "epoch", "gone"]))
    new = {"at": "at + 1", "version": "version + 1", "epoch": "epoch + 1", "prev": "hash", "hash": "prev"}
    if column == "gone":
        damaged(file, f"DELETE FROM events WHERE seq = {seq}")
    else:
        damaged(file, f"UPDATE events SET {column} = {new.get(column, column + ' || 1')} WHERE seq = {seq}")
    kind = "changed" if column != "gone" else "cut" if seq == EVENTS else "missing"
    assert found(capsys, file, *with_heads(file)) == [(seq, kind)]


def test_a_live_tree_is_checked_beside_its_owner(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    desk(tmp_path, '{ id = "steady", agent = "cli_agents:Steady" }')
    (tmp_path / "key").write_text(KEY)
    heads = ("--head", "heads.jsonl", "--head-key", "key", "--head-every", "0.2")
    kept = tmp_path / "heads.jsonl"
    with begin("run", "desk.toml", "--json", *heads, cwd=tmp_path) as running:
        while not kept.exists() or kept.read_text().count("\n") < 2:
            running.event("Recorded")
        code, said = checked(capsys, tmp_path / "desk.db", "--head", str(kept), "--key", str(tmp_path / "key"))
        assert (code, said["sound"], said["signatures_checked"]) == (0, True, True)
        running.signal(signal.SIGINT)
        assert running.end() == 0
    code, said = checked(capsys, tmp_path / "desk.db", "--head", str(kept), "--key", str(tmp_path / "key"))
    assert (code, said["anchored"]) == (0, said["events"])


def test_what_cannot_be_checked(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = file.parent
    monkeypatch.chdir(folder)
    (folder / "text").write_text("no database at all, only some words\n" * 40)
    (folder / "other").write_text(anchor_line(Anchor("cd", 1, 0.5, Head())))
    desk(folder)

    def refused(words: str) -> str:
        assert main(words.split()) == 2
        said = capsys.readouterr()
        assert said.out == ""
        return said.err

    assert "there is no journal none.db" in refused("journal verify none.db")
    assert "treewarden: . is a folder: name the journal in it" in refused("journal verify .")
    assert "text is not a treewarden journal" in refused("journal verify text")
    (folder / "empty").touch()
    assert "empty holds no head, so nothing outside of desk.db" in refused("journal verify desk.db --head empty")
    assert "desk.db holds no head, so nothing outside of desk.db" in refused("journal verify desk.db --head desk.db")
    assert "the heads in none cannot be read" in refused("journal verify desk.db --head none")
    assert "give that too, with --head" in refused("journal verify desk.db --key key")
    other = "other holds the heads of another journal (cd); that of desk.db is ab"
    assert other in refused("journal verify desk.db --head other")
    assert "--head-key signs the heads that are kept: say where, with --head" in refused("run desk.toml --head-key key")
    assert "--head-every is how often heads are kept: say where" in refused("run desk.toml --head-every 3")
