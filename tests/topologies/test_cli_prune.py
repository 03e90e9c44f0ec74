"""`treewarden journal prune`, and a tree that prunes by itself: what goes, what is said of it, and what is proven."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import trio
import trio.testing
from attrs import evolve

from treewarden.agents.agent import Agent, handles
from treewarden.agents.errors import ConfigurationError
from treewarden.supervisor.core.anchor import Anchor, anchor_line, hmac_sign
from treewarden.supervisor.core.event import ChildEnded, EventsPruned, IncidentOpened, TreeOpened
from treewarden.supervisor.core.retention import EventRetention
from treewarden.supervisor.journal.port import Commit
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.topologies.cli import main
from treewarden.topologies.errors import BlueprintError
from treewarden.topologies.open import open_tree
from treewarden.topologies.toml import loads
from treewarden.topologies.tree import tree

from ..journals import DESK, WALL, checkpoint, fact, on_disk, settle

KEY = "correct horse battery staple"


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A journal of twenty events, a kept state with a name at the sixth, and an incident that opens with the ninth."""

    async def write() -> None:
        async with on_disk(tmp_path / "tree.db") as journal:
            for number in range(1, 21):
                kept = (checkpoint(number, "good"),) if number == 6 else ()
                event = IncidentOpened(path=DESK, incident="1.1", kind="crash") if number == 9 else fact(number)
                await journal.commit(evolve(settle(number, events=[event]), checkpoints=kept))

    trio.run(write)
    return str(tmp_path / "tree.db")


def printed(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert main(list(arguments)) == code
    captured = capsys.readouterr()
    return captured.out + captured.err


def test_what_goes_and_what_stays_is_said(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    prune = ("journal", "prune", file, "--keep-events", "5")
    held = "because checkpoint 13 of desk is of the event behind it"
    assert printed(capsys, *prune, "--dry-run") == f"{file}: events 1 to 5 would be pruned; more stays, {held}\n"
    assert "20 events" in printed(capsys, "journal", "verify", file)
    assert printed(capsys, *prune) == f"{file}: events 1 to 5 are pruned; more stays, {held}\n"
    verified = printed(capsys, "journal", "verify", file)
    assert "sound: 16 events" in verified
    assert "events up to 5 were pruned by" in verified
    again = json.loads(printed(capsys, *prune, "--past-checkpoints", "--json"))
    assert (again["after"], again["through"], again["by_the_tree"]) == (5, 8, False)
    assert "incident 1.1 of desk is open" in again["text"]
    assert json.loads(printed(capsys, "journal", "verify", file, "--json"))["pruned"] == 8
    assert "good" in printed(capsys, "checkpoint", "search", file)


def test_whoever_reads_it_is_told(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    printed(capsys, "journal", "prune", file, "--keep-events", "5")
    line = "(events up to 5, until"
    assert printed(capsys, "journal", "show", file).startswith(line)
    assert line not in printed(capsys, "journal", "show", file, "--last", "3")
    assert printed(capsys, "why", file, "/").startswith(line)
    assert line in printed(capsys, "journal", "export", file, "-o", f"{file}.jsonl")
    assert "those up to 5 were pruned" in printed(capsys, "journal", "fork", file, f"{file}.new", "--at", "3", code=2)
    assert "16 events" in printed(capsys, "journal", "import", f"{file}.jsonl", f"{file}.copy")
    assert "sound" in printed(capsys, "journal", "verify", f"{file}.copy")


def test_it_asks_what_stays(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "say what stays" in printed(capsys, "journal", "prune", file, code=2)
    assert "nothing to prune" in printed(capsys, "journal", "prune", file, "--keep-days", "30000")


def test_damage_is_not_deleted_with_the_rest(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("UPDATE events SET at = 0 WHERE seq = 2")
    told = printed(capsys, "journal", "prune", file, "--keep-events", "5", code=2)
    assert "2: changed" in told
    assert "nothing was pruned" in told


def test_heads_and_a_key(file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "key").write_text(KEY)
    heads = tmp_path / "heads"
    with JournalFile.open(file) as journal:
        anchor = Anchor(journal.tree, 1, WALL, journal.head)
        heads.write_text(anchor_line(anchor, hmac_sign(KEY.encode())))
    keyed = ("--head", str(heads), "--key", str(tmp_path / "key"))
    prune = ("journal", "prune", file, "--keep-events", "3", "--past-checkpoints")
    printed(capsys, *prune, *keyed)
    with JournalFile.open(file) as journal:
        cut = journal.cut()
        assert cut is not None
        assert cut.mac
    assert "1 head kept outside lead through it" in printed(capsys, "journal", "verify", file, *keyed)

    async def more() -> None:
        async with on_disk(Path(file)) as journal:
            await journal.commit(Commit(events=((WALL, TreeOpened(epoch=2, holder="h", version="1")),)))
            for number in range(21, 41):
                await journal.commit(settle(number, events=[fact(number)]))

    trio.run(more)
    assert "no head that is kept outside covers more" in printed(capsys, *prune, *keyed)
    printed(capsys, *prune)
    assert "no head that was kept outside covers them" in printed(capsys, "journal", "verify", file, *keyed, code=1)


class Counter(Agent[int]):
    state = 0

    @handles
    def add(self, message: int) -> None:
        self.state += message
        self.record(fact(message))


async def test_a_tree_keeps_to_its_retention(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    file = tmp_path / "tree.db"
    shape = tree(Counter)
    async with open_tree(shape, journal=on_disk(file), events=EventRetention(last=20)) as running:
        counter = running.ref("counter")
        cuts = 0
        for number in range(200):
            await counter.tell(number)
            if not number % 40:
                await trio.sleep(61)
                async with running.events() as records:
                    first = await anext(records)
                cuts += first.seq > 1
        assert cuts >= 4
        await trio.sleep(130)
        async with running.events() as records:
            first = await anext(records)
        assert running.head - first.seq < 30
    with JournalFile.open(file) as journal:
        assert journal.verify().sound
        assert len(journal.records(kinds=["EventsPruned"])) <= 3


async def test_a_tree_in_memory_prunes_too(autojump_clock: trio.testing.MockClock) -> None:
    async with open_tree(tree(Counter)) as running:
        for number in range(10):
            await running.ref("counter").tell(number)
        assert (await running.prune(last=2, dry_run=True)).dry
        assert (await running.prune(last=2)).count
        with pytest.raises(ConfigurationError, match="how many stay"):
            await running.prune()
        async with running.events() as records:
            seen = [type((await anext(records)).event) for _ in range(3)]
        assert seen[2] is EventsPruned
        assert ChildEnded not in seen


def test_a_file_says_which_events_stay() -> None:
    topology = loads("events = { last = 1000, within = 86400 }\nchildren = []")
    assert topology.events == EventRetention(last=1000, within=86400)
    assert loads("children = []").events is None
    with pytest.raises(BlueprintError, match="says not which events stay"):
        loads("events = {}\nchildren = []")
