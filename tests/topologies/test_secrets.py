"""Secrets of a real tree, put wherever one gets to by accident: no export of it, whole or in part, has them."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest
import trio
from attrs import evolve, field, frozen
from trio.testing import MockClock

from treewarden.agents.agent import Agent, handles
from treewarden.supervisor.core.event import DeadLettered
from treewarden.topologies.child import child
from treewarden.topologies.cli import main
from treewarden.topologies.open import open_tree
from treewarden.topologies.toml import load
from treewarden.topologies.tree import tree

from ..journals import on_disk

PASSWORD: Final = "corréct \"horse\"\\ 'battery'"
TOKEN: Final = "tok_5f0c1d99e7"
PIN: Final = 73_915_500
SAID: Final = ("corr", "horse", "battery", TOKEN, str(PIN))


@frozen
class Account:
    user: str
    password: str = ""
    more: tuple[dict[str, str], ...] = ()
    pins: dict[int, int] = field(factory=dict[int, int])


@frozen
class Login:
    password: str
    pin: int


@frozen
class Peek:
    text: str


class Vault(Agent[Account]):
    state = Account("ada")

    @handles
    async def login(self, message: Login) -> None:
        token = {"Token": TOKEN, "plain": "yes"}
        self.state = evolve(self.state, password=message.password, more=(token, {"x": "y"}), pins={1: message.pin})
        self.record(message)
        self.checkpoint(f"after {TOKEN}", description=f"with {message.password}", tags=[f"t-{message.pin}"])
        await self.ref("../gossip").tell(Peek(f"{message!r} has {TOKEN} and {message.pin}"))

    @handles
    async def peek(self, message: Peek) -> None:
        raise ValueError(f"cannot use {self.state!r}: token={TOKEN}") from KeyError(self.state.password)


class Gossip(Agent[tuple[str, ...]]):
    state = ()

    @handles
    async def hear(self, message: Peek) -> None:
        self.state = (*self.state, message.text, "x" * 70_000 + TOKEN)


TOML: Final = f"""
children = [
  {{ id = "keyed", agent = "tests.topologies.test_secrets:Keyed", args = {{ token = "{TOKEN}" }} }},
]
"""


class Keyed(Agent[None]):
    def __init__(self, token: str) -> None:
        self.token = token

    async def on_start(self) -> None:
        raise ConnectionError(f"refused: {self!r} with {self.token}")


async def write(file: Path) -> None:
    """Everything that a journal has a place for, with a secret in it."""
    spec = tree(child(Vault), child(Gossip))
    async with open_tree(spec, journal=on_disk(file)) as running:
        vault = running.ref("vault")
        await vault.tell(Login(PASSWORD, PIN))
        await vault.tell(Peek("look"))
        async with running.watch("vault") as ends:
            async for _ in ends:
                break
        async with running.events() as records:
            async for record in records:
                if isinstance(record.event, DeadLettered):
                    break


def said(text: str) -> list[str]:
    """As it stands, and as JSON, text of Python and a line of the command would quote it."""
    return [each for each in (*SAID, json.dumps(PASSWORD)[1:-1], repr(PASSWORD)[1:-1]) if each in text]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    trio.run(write, tmp_path / "tree.db", clock=MockClock(autojump_threshold=0))
    return tmp_path / "tree.db"


def exported(file: Path, *words: str) -> str:
    bundle = file.with_name("bundle.jsonl")
    bundle.unlink(missing_ok=True)
    keys = ("--secret", "password", "--secret", "TOKEN", "--secret", "pin", "--secret", "pins")
    assert main(["journal", "export", str(file), *words, "-o", str(bundle), *keys]) == 0
    return bundle.read_text("utf-8")


def rows(file: Path) -> dict[str, str]:
    with closing(sqlite3.connect(file)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return {name: repr(connection.execute(f"SELECT * FROM {name}").fetchall()) for name in names}


def test_no_secret_is_in_an_export(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    held = rows(file)
    assert {name for name in held if said(held[name])} >= {"events", "states", "checkpoints", "dead_letters", "chunks"}
    for words in ((), ("vault",), ("gossip",)):
        text = exported(file, *words)
        assert said(text) == []
        assert "[redacted]" in text
    capsys.readouterr()
    assert main(["journal", "export", str(file), "-o", "-"]) == 0
    assert said(capsys.readouterr().out), "what is not asked for is not hidden"


def test_what_is_left_is_a_journal(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exported(file)
    copy = file.with_name("copy.db")
    assert main(["journal", "import", str(file.with_name("bundle.jsonl")), str(copy)]) == 0
    assert main(["journal", "verify", str(copy)]) == 0
    for words in ("tree FILE", "why FILE vault", "journal show FILE", "checkpoint list FILE vault"):
        assert main([str(copy) if word == "FILE" else word for word in words.split()]) == 0
    assert said(capsys.readouterr().out) == []
    assert [name for name, found in rows(copy).items() if said(found)] == []


@pytest.mark.parametrize("written", [f'"{TOKEN}"', '{ env = "DESK_TOKEN" }'])
def test_arguments_of_a_topology(
    written: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are no state: that they are secret is known from the file, or from the environment that it names."""
    toml, file = tmp_path / "tree.toml", tmp_path / "tree.db"
    toml.write_text(TOML.replace(f'"{TOKEN}"', written))
    monkeypatch.setenv("DESK_TOKEN", TOKEN)

    async def run() -> None:
        with pytest.raises(Exception, match="refused"):
            async with open_tree(load(toml).blueprint, journal=on_disk(file)):
                raise AssertionError("it began")

    trio.run(run, clock=MockClock(autojump_threshold=0))
    assert said(exported(file)) == [TOKEN]
    text = exported(file, "--topology", str(toml))
    assert "refused" in text
    assert said(text) == []
    capsys.readouterr()
    assert main(["journal", "export", str(file), "-o", "-", "--topology", str(file)]) == 2
    assert "tree.db cannot be read" in capsys.readouterr().err


class Named(Keyed):
    def __init__(self, env: str) -> None:
        super().__init__(env)


def test_an_argument_that_is_called_env_names_no_variable(tmp_path: Path) -> None:
    toml, file = tmp_path / "tree.toml", tmp_path / "tree.db"
    toml.write_text(TOML.replace("Keyed", "Named").replace("token =", "env ="))

    async def run() -> None:
        with pytest.raises(Exception, match="refused"):
            async with open_tree(load(toml).blueprint, journal=on_disk(file)):
                raise AssertionError("it began")

    trio.run(run, clock=MockClock(autojump_threshold=0))
    assert said(exported(file)) == [TOKEN]
    assert said(exported(file, "--secret", "env", "--topology", str(toml))) == []
