"""A journal's content as records of a bundle, and back into a file."""

from __future__ import annotations

import bisect
import os
import pathlib
import sqlite3
from base64 import b64encode
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any, Final, cast

from attrs import frozen

from treewarden.agents.core.path import ROOT, Path
from treewarden.agents.core.said import is_count, shown
from treewarden.agents.errors import JournalDamaged, JournalError

from ..core.bundle import FORMAT, BundleDamage, unsealed
from ..core.chain import GENESIS, Head, StoredRow, link, verify
from ..core.event import EventsPruned, RolledBack, SlotMoved
from ..core.moves import Move, place_now, places_of
from ..core.own_names import ours_of
from ..core.redaction import Redaction
from ..core.retention import chain_start
from ..views.pruned import part_of
from . import rows as stored
from .blobs import Blobs, whole
from .bundle_rows import BYTES, Misfit, RowReader, check_event, insert, is_time
from .canonical import dump, dump_sorted, load
from .carrying import BLOB, Arriving, blob_records
from .identity import TELLING, read, said
from .integrity import CHECKSUMS, check_counts, counts_on, with_sums
from .moving import WITHIN, moves_in, range_of
from .new_file import refuse_remains, whole_or_not
from .raised import refuses_all
from .reading import JournalFile
from .schema import NOW, VERSION, migrate

__all__ = ["Imported", "bundle_of", "read_bundle"]

_TABLES: Final = ("events", "states", "checkpoints", "mailbox", "dead_letters", "replies", "timers")
"""What is taken along, in this order. Who owned the file, and what was asked of it, stays."""
_PARTIAL: Final = ".importing"


@frozen
class Imported:
    """What came out of a bundle."""

    tree: str
    path: Path
    rows: int
    events: int
    head: Head
    same_chain: bool
    """The events are those of the original, hash by hash; otherwise they were chained anew."""


def bundle_of(
    journal: JournalFile,
    path: Path = ROOT,
    secrets: Collection[str] | Redaction = (),
    *,
    known: Any = None,
    say: Callable[[str, int, str], str] | None = None,
) -> Generator[dict[str, Any]]:
    """The records of everything at and below `path`, as of one moment.

    Values under keys in `secrets` are left out, at any depth of events, states, messages and replies, and wherever else
    in the bundle the same values stand, whoever in the journal they were a secret of; or in `known`, which is data
    of the same kind from elsewhere. `say` puts an event (kind, version, body) into words. Of a cut the last record goes
    along, with what it holds of `path`. Without secrets no more of a large value is in memory than a piece of 64 kB;
    with some, all of a row. Raises `JournalDamaged`.
    """
    hidden = secrets if isinstance(secrets, Redaction) else Redaction(secrets)
    hidden.learn(known)
    with journal.moment() as connection:
        if hidden:
            _learn(connection, hidden)
        where, given, moves = "", (), list[Move]()
        if path != ROOT:
            where, given, moves = f" WHERE {WITHIN}", range_of(path), moves_in(connection)
        tree, created, seq, hash, last_row, epoch = connection.execute(
            "SELECT tree, created, seq, hash, last_row, epoch FROM meta"
        ).fetchone()
        yield {
            "type": "bundle",
            "v": FORMAT,
            "schema": VERSION,
            "tree": tree,
            "created": created if is_time(created) else None,
            "path": str(path),
            "epoch": epoch,
            "last_row": last_row,
            "head": {"seq": seq, "hash": hash.hex()},
            "same_chain": path == ROOT and not hidden,
        }
        sent: set[str] = set()
        (cut,) = connection.execute("SELECT max(seq) FROM events WHERE kind = 'EventsPruned'").fetchone()
        for table in _TABLES:
            order = "rowid" if table != "timers" else "path, name"
            rows = connection.execute(f"SELECT * FROM {table}{where} ORDER BY {order}", given)
            if table == "events" and where:
                rows = _events_of(connection, path, moves, cut)
            names = [column[0] for column in rows.description]
            for values in rows:
                row = {name: value for name, value in zip(names, values, strict=True) if name not in CHECKSUMS}
                if table == "events" and where and not _concerns(row, path, moves):
                    if row["seq"] != cut:
                        continue
                    row["body"] = _part_of_cut(row["body"], path, moves)
                gone = _open(connection, row, hidden, table)
                if table != "events" and "body" in row:
                    yield from blob_records(connection, row["body"], sent)
                record: dict[str, Any] = {"type": "row", "table": table, "row": _plain(row)}
                if gone:
                    record["redacted"] = gone
                if table == "events" and say is not None:
                    record["text"] = say(row["kind"], row["version"], row["body"])
                if table == "events":
                    record["when"] = _when(row["at"])
                yield record


def _learn(connection: sqlite3.Connection, hidden: Redaction) -> None:
    """Which values are secret. Those that are looked for stand in what is exported, or in what others hold."""
    for table in _TABLES:
        if table != "timers":
            for kind, body in connection.execute(f"SELECT kind, body FROM {table}"):
                data = load(whole(connection, body))
                hidden.learn(data, ours_of(table, kind, data))


def _open(connection: sqlite3.Connection, row: dict[str, Any], hidden: Redaction, table: str) -> int:
    """Take secrets out of the row, which has its whole body then. Returns how many those were."""
    count = 0
    if not hidden:
        return count
    for name, value in row.items():
        if name == "body":
            row[name] = whole(connection, value)
            data = load(row[name])
            data, gone = hidden.clean(data, ours_of(table, row.get("kind", ""), data))
            count += gone
            if gone:
                row[name] = dump(data)
        elif isinstance(value, str):
            row[name], gone = hidden.clean_text(value)
            count += gone
    if "size" in row:
        row["size"] = len(row["body"])
    return count


def _events_of(connection: sqlite3.Connection, path: Path, moves: Sequence[Move], cut: int | None) -> sqlite3.Cursor:
    """All that may be about a slot and what is below it, also at the path that it had before it was moved."""
    places = places_of(path, moves)
    given = [each for place in places for each in range_of(place)]
    told = {each.seq for each in moves if path.is_within(each.new)} | ({cut} if cut is not None else set[int]())
    question = (
        f"SELECT * FROM events WHERE {' OR '.join([WITHIN] * len(places))} OR seq IN (SELECT value FROM json_each(?))"
    )
    return connection.execute(f"{question} ORDER BY seq", (*given, dump(sorted(told))))


def _concerns(row: Mapping[str, Any], path: Path, moves: Sequence[Move]) -> bool:
    """Whether an event is about a slot or what is below it, or says that one of these was moved there."""
    if row["kind"] == SlotMoved.__name__ and any(row["seq"] == each.seq and path.is_within(each.new) for each in moves):
        return True
    return row["path"] != "" and _is_of(Path(row["path"]), row["seq"], path, moves)


def _is_of(place: Path, seq: int, path: Path, moves: Sequence[Move]) -> bool:
    """Of what has gone from there the past went along; what nobody has taken along stays with the place."""
    now = place_now(place, seq, moves)
    return (place if now is None else now).is_within(path)


def _part_of_cut(body: str, path: Path, moves: Sequence[Move]) -> str:
    data = load(body)
    part = part_of(data.get("summary", {}), lambda place: _is_of(place, data["through"], path, moves))
    return dump_sorted({**data, "summary": part})


def _when(at: float) -> str:
    try:
        return datetime.fromtimestamp(at, UTC).isoformat(" ", "milliseconds")
    except (OverflowError, ValueError, OSError):  # a file may hold any number
        return f"{at:g}"


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: {BYTES: b64encode(value).decode()} if isinstance(value, bytes) else value for name, value in row.items()
    }


def read_bundle(
    lines: Iterable[str],
    file: str | os.PathLike[str],
    made_by: Callable[[sqlite3.Connection], object] = lambda connection: None,
) -> Imported:
    """Make a journal of a bundle's lines, of which each is forgotten when it is read. Blocks.

    The events keep their chain if all of them are there as they were written, and it is checked; else they are numbered
    and chained anew. `made_by` is told by which connection, whose `interrupt` ends what is done until this returns.
    Raises `JournalError` if `file` exists, or the log of one that did, and for a bundle of a newer treewarden;
    `JournalDamaged` with the number of the line at fault. Then no file is left; a process that is killed leaves one of
    another name.
    """
    path = pathlib.Path(file)
    refuse_remains(path)
    try:
        with (
            whole_or_not(path, _PARTIAL) as partial,
            closing(sqlite3.connect(partial.absolute(), isolation_level=None)) as connection,
        ):
            made_by(connection)
            connection.execute("PRAGMA synchronous = EXTRA")
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("BEGIN")
            migrate(connection, 0)
            imported = _Import(connection).read(lines)
            connection.execute("COMMIT")
        return imported
    except BundleDamage as error:
        raise JournalDamaged(f"the bundle is damaged: {error}; nothing was imported. Export it anew") from error
    except sqlite3.DatabaseError as error:
        raise JournalError(f"{path} cannot be made: {error}; nothing was imported") from error


class _Import:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._epoch = 0
        self._seqs: list[int] = []
        """The numbers that the events had, where they get new ones."""
        self._lines: list[int] = []
        """The line of each event."""
        self._head = Head()
        self._rows = 0
        self._arriving = Arriving(connection, 0)

    def read(self, lines: Iterable[str]) -> Imported:
        records = unsealed(lines)
        header = next(records, (1, dict[str, Any]()))[1]
        _check_header(header)
        same = bool(header["same_chain"])
        self._epoch = header["epoch"]
        self._arriving = Arriving(self._connection, self._epoch)
        reader = RowReader.of(self._connection, _TABLES, events=header["head"]["seq"], epochs=self._epoch)
        for line, record in records:
            try:
                self._put(record, line, same, reader)
            except Misfit as error:
                raise BundleDamage(line, str(error)) from error
            except (LookupError, TypeError, ValueError, AttributeError, OverflowError, sqlite3.Error) as error:
                if refuses_all(error):
                    raise  # it says nothing about the line
                raise BundleDamage(line, f"it is no row of a journal ({error!r})") from error
        if same:
            self._check_chain(Head(header["head"]["seq"], bytes.fromhex(header["head"]["hash"])))
        self._connection.execute(
            f"INSERT INTO meta VALUES (1, ?, ifnull(?, {NOW}), ?, ?, 0, ?, ?)",
            (
                header["tree"],
                self._made(header["tree"], header.get("created")),
                self._head.seq,
                self._head.hash,
                header["last_row"],
                header["epoch"],
            ),
        )
        for fault in check_counts(self._connection):
            raise BundleDamage(1, f"what it counts is not what the lines hold: {fault.key} {fault.text}")
        return Imported(header["tree"], Path(header["path"]), self._rows, len(self._lines), self._head, same)

    def _put(self, record: dict[str, Any], line: int, same: bool, reader: RowReader) -> None:
        if record.get("type") == BLOB:
            self._arriving.take(record)
            return
        if record.get("type") != "row":
            raise Misfit(f"its type is {shown(record.get('type'))}; it must be row, {BLOB} or end")
        redacted = bool(record.get("redacted"))
        table, row = reader.read(record, line, redacted=redacted)
        if table == "events":
            self._lines.append(line)
            if not same:
                self._chain_anew(row)
            if not redacted:
                check_event(row)
            self._head = Head(row["seq"], row["hash"])
        elif "body" in row and row["body"].startswith("@"):
            self._arriving.check(f"{table}.body", row["body"])
        elif "body" in row:
            blobs = Blobs()
            row["body"] = blobs.shorten(row["body"])
            blobs.write(self._connection, self._epoch)
        if table != "events" and not same and "seq" in row:
            row["seq"] = self._renumbered(row["seq"])
        insert(self._connection, table, with_sums(table, row))
        self._rows += 1

    def _chain_anew(self, row: dict[str, Any]) -> None:
        self._seqs.append(row["seq"])
        row["seq"], row["prev"] = self._head.seq + 1, self._head.hash
        body = load(row["body"])
        if row["kind"] == EventsPruned.__name__:  # it speaks of numbers that nothing has any more
            body |= {"through": 0, "hash": "", "mac": "", "count": body["through"]}
        elif row["kind"] == RolledBack.__name__ and isinstance(body.get("to"), int):
            body["to"] = self._renumbered(body["to"])
        row["body"] = dump_sorted(body)
        row["hash"] = link(
            row["prev"], row["seq"], row["at"], row["epoch"], row["path"], row["kind"], row["version"], row["body"]
        )

    def _renumbered(self, seq: int) -> int:
        """The last event that was kept up to `seq`, by its new number."""
        return bisect.bisect_right(self._seqs, seq)

    def _made(self, tree: str, created: float | None) -> float | None:
        """When the journal was made of which this is one, if an event says so, or else the header: `created`."""
        telling = ",".join("?" * len(TELLING))
        question = f"SELECT seq, kind, version, body FROM events WHERE kind IN ({telling}) ORDER BY seq"
        identity, seq, faults = said(self._connection.execute(question, TELLING))
        for fault in faults:
            raise BundleDamage(self._line_of(fault.seq), f"event {fault}")
        told = read(identity)
        if told is not None and told[0] != tree:
            raise BundleDamage(
                self._line_of(seq), f"event {seq}: it says that the journal is {told[0]}, and the header {tree}"
            )
        return created if told is None else told[1]

    def _check_chain(self, head: Head) -> None:
        question = "SELECT seq, at, epoch, path, kind, version, body, prev, hash FROM events ORDER BY seq"
        rows = cast("Iterable[StoredRow]", self._connection.execute(question))
        cut = stored.cut(self._connection)
        start, heads = chain_start(
            cut.event if cut is not None and isinstance(cut.event, EventsPruned) else None,
            *(stored.first(self._connection) or (None, None)),
        )
        for fault in verify(rows, head, anchors=heads, start=start, limit=1).faults:
            raise BundleDamage(self._line_of(fault.seq), f"event {fault}")

    def _line_of(self, seq: int) -> int:
        place = bisect.bisect_left(self._numbers(), seq)
        return self._lines[min(place, len(self._lines) - 1)] if self._lines else 1

    def _numbers(self) -> list[int]:
        return [seq for (seq,) in self._connection.execute("SELECT seq FROM events ORDER BY seq")]


_HEADER: Final[dict[str, tuple[Callable[[Any], bool], str]]] = {
    "tree": (lambda tree: isinstance(tree, str) and tree.isalnum(), "letters and digits"),
    "created": (lambda created: created is None or is_time(created), "seconds since 1970, fewer than 2^63, or null"),
    "path": (lambda path: isinstance(path, str) and str(Path.parse(path)) == path, "the path of a slot"),
    "epoch": (counts_on, "a whole number from 0 to 2^62"),
    "last_row": (counts_on, "a whole number from 0 to 2^62"),
    "head": (
        lambda head: counts_on(head["seq"]) and len(bytes.fromhex(head["hash"])) == len(GENESIS),
        f"an object with seq, a whole number from 0 to 2^62, and hash, {len(GENESIS)} bytes as hexadecimal digits",
    ),
    "same_chain": (lambda same: isinstance(same, bool), "true or false"),
}


def _check_header(header: dict[str, Any]) -> None:
    if header.get("type") != "bundle":
        raise BundleDamage(1, f"it is no header of a bundle: its type is {shown(header.get('type'))}")
    for name, newest in (("v", FORMAT), ("schema", VERSION)):
        if not is_count(header.get(name)):
            raise BundleDamage(1, f"its header has {shown(header.get(name))} under {name}; it must be 1 to {newest}")
    if header["v"] > FORMAT or header["schema"] > VERSION:
        raise JournalError(
            f"this bundle is of format {header['v']} and schema {header['schema']}; this treewarden reads "
            f"up to {FORMAT} and {VERSION}. Import it with the version that wrote it"
        )
    header = {"created": None, **header}  # bundles of before have none
    for name, (fits, must) in _HEADER.items():
        try:
            right = fits(header[name])
        except (LookupError, TypeError, ValueError):
            right = False
        if not right:
            raise BundleDamage(1, f"its header has {shown(header.get(name))} under {name}; it must be {must}")
