"""`treewarden journal export` and `journal import`: a tree, or one agent of it, as lines of JSON."""

from __future__ import annotations

import os
import pathlib
import sqlite3
import sys
import tomllib
from argparse import Namespace
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from typing import Any, Final, TextIO

from treewarden.agents.errors import ConfigurationError, JournalDamaged, JournalError
from treewarden.supervisor.core.bundle import BundleDamage, sealed
from treewarden.supervisor.core.redaction import Redaction
from treewarden.supervisor.journal.event_codec import decode_event
from treewarden.supervisor.journal.exporting import bundle_of, read_bundle
from treewarden.supervisor.journal.looked_at import LookedAt
from treewarden.supervisor.journal.new_file import whole_or_not
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.supervisor.ops.event_text import event_text
from treewarden.supervisor.ops.wording import clean, plural
from treewarden.supervisor.written_file import content_of

from ..toml_arguments import with_environment
from .exits import ExitCode
from .files import pruned_line, refuse_unknown
from .looking_on import looking_on
from .stdout import Stdout
from .terminated import heeding_sigterm

__all__ = ["export", "import_bundle"]

_PARTIAL: Final = ".exporting"
_LONGEST: Final = 200_000_000
"""Characters that no line has: large values come in pieces, and where secrets are left out, a row at a time."""


@heeding_sigterm()
def export(arguments: Namespace) -> int:
    """Write a bundle. The journal is read only. Raises `ConfigurationError` for a path that it does not know."""
    out = Stdout.here()
    secrets = _secrets(arguments)
    hidden = Redaction(secrets)
    known = _topology(arguments.topology)
    written = LookedAt("lines")
    with (
        JournalFile.open(arguments.file) as journal,
        looking_on(arguments, lambda: f"{arguments.file}: {written}", journal.interrupt),
    ):
        refuse_unknown(journal, arguments.file, arguments.path)
        gone = pruned_line(journal)
        with (
            closing(bundle_of(journal, arguments.path, hidden, known=known, say=_say)) as records,
            closing(sealed(records)) as sealed_lines,
        ):
            lines = _counted(sealed_lines, written)
            if arguments.output == "-":
                for line in lines:
                    out.write(line)
                _tell_of_unmet(hidden, arguments)
                return ExitCode.ORDERLY
            count = _write(arguments.output, lines)
    text = f"{arguments.output}: {plural(count, 'line')} of {arguments.path} in {arguments.file}"
    out.lines([clean(text + (f", without values under {', '.join(secrets)}" if secrets else "")), *gone])
    _tell_of_unmet(hidden, arguments)
    return ExitCode.ORDERLY


@heeding_sigterm()
def import_bundle(arguments: Namespace) -> int:
    """Make a journal of a bundle. Raises `JournalDamaged` naming the line at fault; then there is no new file."""
    out, read, making = Stdout.here(), LookedAt("lines"), list[sqlite3.Connection]()

    def interrupt() -> None:
        for connection in making:
            with suppress(sqlite3.ProgrammingError):  # it is closed: all is done
                connection.interrupt()

    try:
        given = 0 if arguments.bundle == "-" else arguments.bundle
        with (
            open(given, encoding="utf-8", errors="surrogateescape", newline="\n", closefd=given != 0) as lines,
            looking_on(arguments, lambda: f"{arguments.bundle}: {read}", interrupt),
        ):
            imported = read_bundle(_counted(_whole(lines), read), arguments.file, making.append)
    except OSError as error:
        raise JournalError(
            f"{arguments.bundle} cannot be read: {error.strerror}. Name a bundle that this user may read, as "
            "`treewarden journal export` writes it"
        ) from error
    except JournalDamaged as error:
        raise JournalDamaged(f"{arguments.bundle}: {error}") from error
    chain = "as they were chained" if imported.same_chain else "chained anew"
    events = plural(imported.events, "event")
    out.lines([clean(f"{arguments.file}: {plural(imported.rows, 'row')} of {imported.path}, {events} {chain}")])
    return ExitCode.ORDERLY


def _whole(bundle: TextIO) -> Iterator[str]:
    """Its lines. Raises `BundleDamage` for one that is longer than any can be, and does not read it to its end."""
    number = 0
    while line := bundle.readline(_LONGEST):
        number += 1
        if len(line) == _LONGEST:
            raise BundleDamage(number, f"it has {_LONGEST} characters, and more")
        yield line


def _counted(lines: Iterable[str], looked_at: LookedAt) -> Iterator[str]:
    for line in lines:
        looked_at.count += 1
        yield line


def _tell_of_unmet(hidden: Redaction, arguments: Namespace) -> None:
    if hidden.unmet:
        keys = ", ".join(map(repr, hidden.unmet))
        text = f"nothing stands under {keys} anywhere in {arguments.file}: look whether it is spelled so"
        with suppress(OSError):
            sys.stderr.write(clean(f"treewarden: {text}") + "\n")


def _say(kind: str, version: int, body: str) -> str:
    try:
        return event_text(decode_event(kind, version, body))
    except JournalError:  # of a newer treewarden, or without a secret that has to be there
        return ""


def _secrets(arguments: Namespace) -> list[str]:
    found: list[str] = [*(arguments.secret or ())]
    if arguments.secrets is not None:
        try:
            listed = content_of(arguments.secrets).decode().split()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
            raise ConfigurationError(f"{arguments.secrets} cannot be read: {why}") from error
        if not listed:
            raise ConfigurationError(f"{arguments.secrets} names no key, so nothing would be left out")
        found += listed
    for key in found:
        if not key.strip() or "," in key:
            raise ConfigurationError(f"{key!r} is no key: give one, and --secret again for each other")
    return found


def _topology(file: str | None) -> dict[str, Any]:
    """What a topology says, there and in the environment that it names: nothing of it is imported."""
    if file is None:
        return {}
    try:
        return with_environment(tomllib.loads(content_of(file).decode()))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{file} cannot be read: {error}") from error


def _write(file: str, lines: Iterable[str]) -> int:
    """Write and sync them, and count them. Raises `JournalError`, and leaves no half of a bundle behind."""
    try:
        with (
            whole_or_not(pathlib.Path(file), _PARTIAL) as partial,
            open(partial, "w", encoding="utf-8", newline="\n") as bundle,
        ):
            count = sum(1 for line in lines if bundle.write(line))
            bundle.flush()
            os.fsync(bundle.fileno())
        return count
    except OSError as error:
        raise JournalError(f"{file} cannot be written: {error.strerror}; nothing is left of it") from error
