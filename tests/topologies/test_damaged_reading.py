"""Reading commands beside a disk that has changed what was written: each says so in a sentence, or tells the rest."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from treewarden.topologies.cli import main

from .test_large_bundles import NESTED, text, written

BODY = text({**NESTED, "api_key": "hunter2hunter2"})


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return written(tmp_path_factory.mktemp("original") / "desk.db", BODY).read_bytes()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("UPDATE states SET body = '{\"total\"=3}'", ("show", "diff", "secret")),
        ("UPDATE states SET body = replace(body, '[\"text\"]', '[\"tex4\",1]')", ("show", "diff", "secret")),
        ("UPDATE states SET body = replace(body, ' [[', ' [,')", ("show", "diff", "export", "secret")),
        ("UPDATE checkpoints SET tags = char(7)", ("list", "diff")),
        ("UPDATE mailbox SET kind = CAST(x'6be5' AS TEXT)", ("export", "secret")),
        ("UPDATE blobs SET size = size + 1", ()),
    ],
)
def test_what_cannot_be_read_is_said_in_a_sentence(
    damage: str, said: tuple[str, ...], original: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(tmp_path / "desk.db")
    Path(file).write_bytes(original)
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        assert connection.execute(damage).rowcount > 0
    export = ["journal", "export", file, "-o", "-"]
    words = {
        "list": ["checkpoint", "list", file, "desk"],
        "show": ["checkpoint", "show", file, "desk", "current"],
        "diff": ["checkpoint", "diff", file, "desk", "3"],
        "export": export,
        "secret": [*export, "--secret", "api_key"],
    }
    refused: list[str] = []
    for name, argv in words.items():
        if main(argv) != 0:
            refused.append(name)
            told = capsys.readouterr().err
            assert told.startswith("treewarden: ")
            assert any(why in told for why in ("does not hold", "not JSON", "cannot be read")), told
    assert refused == list(said)
    assert main(["journal", "verify", file]) == 1


def test_an_event_of_a_time_that_no_calendar_has_is_exported(
    original: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(tmp_path / "desk.db")
    Path(file).write_bytes(original)
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("INSERT INTO events VALUES (1, 1e300, 'desk', 'Recorded', 1, '{}', x'00', x'00', 1)")
    assert main(["journal", "export", file, "-o", "-"]) == 0
    assert '"when":"1e+300"' in capsys.readouterr().out
