"""`treewarden journal check-code`: what a stored file holds that the code at hand cannot read."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import trio

from treewarden.topologies.cli import main
from treewarden.topologies.open import open_tree
from treewarden.topologies.tree import tree

from ..journals import on_disk
from .generations import FIRST, RENAMED, WITH_UPCAST, WITHOUT_UPCAST, code


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Path]:
    """A journal with everything that can be stored, of the first version; its module is not there yet."""
    monkeypatch.chdir(tmp_path)
    sys.modules.pop("desk", None)  # another test's
    first = code(FIRST)

    async def run() -> None:
        async with open_tree(tree(first.Desk), journal=on_disk(tmp_path / "desk.db")) as running:
            await running.ref("desk").tell(first.Add(5))

    trio.run(run)
    with closing(sqlite3.connect("desk.db")) as connection:
        for row in (101, 102):
            connection.execute(
                "INSERT INTO mailbox VALUES (?, 'desk', ?, 'desk:Add', 1, '{\"amount\":1}', NULL, 2, 0, 0, 0, NULL, 1,"
                " NULL, NULL)",
                (row, f"t-{row}"),
            )
        connection.execute("INSERT INTO replies VALUES ('t-1>x', 'desk', 'int', 1, '5', 1, NULL)")
        connection.commit()
    before = list(sys.path)
    yield tmp_path / "desk.db"
    sys.modules.pop("desk", None)
    assert sys.path == before


def installed(text: str) -> None:
    Path("desk.py").write_text(text)


def checked(capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, dict[str, Any]]:
    exit_code = main(["journal", "check-code", "desk.db", "--json", *options])
    return exit_code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("text", [FIRST, WITH_UPCAST])
def test_code_that_reads_all_of_it(text: str, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    installed(text)
    assert main(["journal", "check-code", "desk.db"]) == 0
    said = "desk.db: the code at hand reads all that it holds: 1 state, 2 messages, 1 checkpoint, 1 reply\n"
    assert capsys.readouterr().out == said


def test_code_that_has_no_way_from_what_was_stored(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    installed(WITHOUT_UPCAST)
    assert main(["journal", "check-code", "desk.db"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("desk.db: the code at hand cannot read 4 of what it holds (1 state, 2 messages, ")
    assert lines[1:3] == [
        "  desk: state: a stored desk:Tally (version 1) does not fit the class at hand: desk:Tally has version 2 here, "
        "and no upcast from version 1; give its __upcasts__ a function under 1",
        "  desk: 2 messages (the first is t-101): a stored desk:Add (version 1) does not fit the class at hand: "
        "desk:Add has version 2 here, and no upcast from version 1; give its __upcasts__ a function under 1",
    ]


def test_what_cannot_be_read_for_machines(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    installed(RENAMED)
    exit_code, said = checked(capsys)
    assert (exit_code, said["readable"]) == (1, False)
    assert said["held"] == {"state": 1, "message": 2, "checkpoint": 1, "reply": 1}
    assert [(each["what"], each["path"], each["kind"], each["version"], each["count"]) for each in said["unread"]] == [
        ("state", "desk", "desk:Tally", 1, 1),
        ("checkpoint", "desk", "desk:Tally", 1, 1),
    ]


def test_code_that_is_not_there_is_said_to_be_missing_once(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It was said again for every class at every path."""
    assert main(["journal", "check-code", "desk.db"]) == 1
    assert capsys.readouterr().out.splitlines()[1:] == [
        "  module desk does not import: ModuleNotFoundError: No module named 'desk'; unread are 1 state, 2 messages, "
        "1 checkpoint (desk:Add, desk:Tally)",
    ]


def test_a_module_that_does_not_import_is_tried_once(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each try runs its code, and that may take long or say something."""
    installed("print('here')\nraise RuntimeError('no database')\n")
    assert main(["journal", "check-code", "desk.db"]) == 1
    said = capsys.readouterr().out
    assert (said.count("here"), said.count("RuntimeError: no database")) == (1, 1)


def test_a_class_that_a_module_does_not_have(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    installed("")
    assert main(["journal", "check-code", "desk.db"]) == 1
    assert "no class at hand is stored as desk:Tally: AttributeError: " in capsys.readouterr().out


def test_the_agents_of_a_topology_decide_what_is_known(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The class is there, and the agent that lives at the path now does not store it."""
    installed(FIRST + "\nclass Other(Agent[int]):\n    state = 0\n")
    Path("desk.toml").write_text('children = [ { id = "desk", agent = "desk:Desk" } ]')
    assert checked(capsys, "--topology", "desk.toml")[0] == 0
    Path("desk.toml").write_text('children = [ { id = "desk", agent = "desk:Other" } ]')
    exit_code, said = checked(capsys, "--topology", "desk.toml")
    assert exit_code == 1
    assert {each["kind"] for each in said["unread"]} == {"desk:Tally", "desk:Add"}


IN_PYTHON = """
from treewarden.topologies import child, tree

class Other(Agent[int]):
    state = 0

shape = tree(Desk)

def other():
    return tree(child(Other, id="desk"))

def of(desk):
    return shape

def broken():
    raise SystemExit("no configuration")

async def later():
    return shape
"""


def test_a_tree_that_is_written_in_python_is_a_topology_too(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    installed(FIRST + IN_PYTHON)
    assert checked(capsys, "--topology", "desk:shape")[0] == 0
    exit_code, said = checked(capsys, "--topology", "desk:other")
    assert exit_code == 1
    assert {each["kind"] for each in said["unread"]} == {"desk:Tally", "desk:Add"}


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("desk:Desk", ", which is no blueprint; name what tree(...) returns"),
        ("desk:shapes", "'desk:shapes' names nothing: desk has no 'shapes'"),
        ("bench:shape", "'bench:shape' cannot be imported: no module 'bench' is beside this file or installed"),
        ("desk:", "'desk:' is not of the form module:name"),
        ("desk:of", "desk:of cannot be called without arguments (missing a required argument: 'desk')"),
        ("desk:broken", "desk:broken makes no blueprint: it raised SystemExit: no configuration; mend it"),
        ("desk:later", "desk:later is an async function; give a blueprint, or a plain function that returns one"),
    ],
)
def test_a_name_that_is_no_topology_is_refused(
    name: str, why: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    installed(FIRST + IN_PYTHON)
    assert main(["journal", "check-code", "desk.db", "--topology", name]) == 2
    assert why in capsys.readouterr().err


BOXED = """
from typing import Generic, TypeVar
T = TypeVar("T")

@frozen
class Box(Generic[T]):
    inside: T

@frozen
class Open(Request[Box[int]]): ...

class Boxer(Desk):
    @handles
    def open(self, message: Open) -> Box[int]:
        return Box(1)
"""


@pytest.mark.parametrize("kind", ["desk:Box[int]", "list[desk:Box[int]]"])
def test_a_generic_class_is_not_looked_for_under_the_name_of_what_it_holds(
    kind: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`no attribute 'Box[int]'` was said of a class that is there, and that there is no module `list[desk`."""
    installed(FIRST + BOXED)
    with closing(sqlite3.connect("desk.db")) as connection:
        connection.execute(f"INSERT INTO replies VALUES ('t-2>x', 'desk', '{kind}', 1, '{{\"inside\":5}}', 1, NULL)")
        connection.commit()
    exit_code, said = checked(capsys)
    assert (exit_code, [each["why"] for each in said["unread"]]) == (
        1,
        [
            f"{kind} is no class that could be imported; "
            "name the topology whose agents store it: --topology FILE.toml, or module:name"
        ],
    )
    Path("desk.toml").write_text('children = [ { id = "desk", agent = "desk:Boxer" } ]')
    assert checked(capsys, "--topology", "desk.toml")[0] == kind.startswith("list")


def test_what_a_script_has_stored(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    installed(FIRST)
    with closing(sqlite3.connect("desk.db")) as connection:
        connection.execute("UPDATE states SET kind = '__main__:Tally'")
        connection.execute("UPDATE checkpoints SET kind = 'tuple[int, ...]'")
        connection.commit()
    exit_code, said = checked(capsys)
    assert exit_code == 1
    assert [each["why"] for each in said["unread"]] == [
        "__main__:Tally was stored by a script: move the class to a module, or read it with that script",
        "tuple[int, ...] is no class that could be imported; "
        "name the topology whose agents store it: --topology FILE.toml, or module:name",
    ]


def test_the_file_stays_as_it_is(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    installed(WITHOUT_UPCAST)
    before = file.read_bytes()
    checked(capsys)
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("raised", "why"),
    [
        ("SystemExit(0)", "desk:Tally refused it: SystemExit(0)"),
        ("GeneratorExit()", "desk:Tally refused it: GeneratorExit()"),
        ("Odd('base')", "desk:Tally refused it: Odd('base')"),
        ("KeyError('other')", "the class refused it: KeyError('other')"),
        ("Mute()", "the class refused it: a Mute whose repr raises RuntimeError"),
    ],
)
def test_a_class_that_refuses_in_its_own_way(
    raised: str, why: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """To end the process was one: it ended as if all could be read."""
    mute = "class Odd(BaseException):\n    pass\n\n\n"
    mute += "class Mute(Exception):\n    def __repr__(self):\n        raise RuntimeError\n\n    __str__ = __repr__\n"
    check = f"\n    def __attrs_post_init__(self):\n        if self.total:\n            raise {raised}\n"
    installed(mute + FIRST.replace("total: int = 0\n", f"total: int = 0\n{check}"))
    exit_code, found = checked(capsys)
    assert exit_code == 1
    (said,) = [each["why"] for each in found["unread"] if each["what"] == "state"]
    assert why in said


@pytest.mark.parametrize("raised", ["SystemExit", "GeneratorExit", "BaseException"])
@pytest.mark.parametrize("where", ["the module", "an upcast"])
def test_code_that_raises_what_is_no_exception(
    raised: str, where: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if where == "the module":
        installed(f"raise {raised}(1)\n")
        said = f"module desk does not import: {raised}: 1"
    else:
        ends = f"def ends(_):\n    raise {raised}(1)\n\n\n"
        installed(ends + WITH_UPCAST.replace('lambda old: {"total": 100 * old["total"]}', "ends"))
        said = f"from version 1 failed: {raised}(1)"
    exit_code, found = checked(capsys)
    assert exit_code == 1
    assert any(said in each["why"] for each in found["unread"])


def test_ctrl_c_is_no_refusal(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    installed("raise KeyboardInterrupt\n")
    assert main(["journal", "check-code", "desk.db"]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_what_waits_where_the_topology_has_nobody_is_told(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It said that all could be read: whoever had moved an agent had lost sight of its orders."""
    installed(FIRST)
    Path("moved.toml").write_text('children = [{ id = "front", children = [{ id = "desk", agent = "desk:Desk" }] }]')
    exit_code, found = checked(capsys, "--topology", "moved.toml")
    assert (exit_code, found["nobody"]) == (0, [{"path": "desk", "perhaps": "front/desk", "state": 1, "message": 2}])
    assert main(["journal", "check-code", "desk.db", "--topology", "moved.toml"]) == 0
    said = "  desk: moved.toml has nobody there; kept for whoever lives there again: 1 state, 2 messages; to take it "
    said += "to another path: treewarden journal move desk.db desk front/desk\n"
    assert said in capsys.readouterr().out
    Path("there.toml").write_text('children = [{ id = "desk", agent = "desk:Desk" }]')
    assert checked(capsys, "--topology", "there.toml")[1]["nobody"] == []
    with closing(sqlite3.connect("desk.db")) as connection, connection:
        for table in ("states", "mailbox", "checkpoints", "replies"):
            connection.execute(f"UPDATE {table} SET path = 'desk/in'")
    (left,) = checked(capsys, "--topology", "there.toml")[1]["nobody"]
    assert (left["path"], left["perhaps"]) == ("desk/in", None), "where it could not be moved to"


@pytest.mark.parametrize("place", ["desk", "desks/ada"], ids=["the queue of a pool", "a child that comes and goes"])
def test_who_has_no_lines_of_their_own_reads_with_the_class_that_lives_there(
    place: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    installed(WITH_UPCAST.replace("Agent[Tally]", "Agent[dict[str, int]]").replace("state = Tally()", "state = {}"))
    with closing(sqlite3.connect("desk.db")) as connection:
        connection.execute("DELETE FROM checkpoints")
        connection.execute("DELETE FROM replies")
        connection.execute("UPDATE states SET path = ?, kind = 'dict[str, int]', body = '{}'", (place,))
        connection.execute("UPDATE mailbox SET path = ?, kind = 'str', body = '\"x\"'", (place,))
        connection.commit()
    Path("all.toml").write_text(
        'children = [{ id = "desk", pool = { agent = "desk:Desk", size = 2, route = "shared" } },'
        ' { id = "desks", strategy = "simple_one_for_one", children = [{ id = "desk", agent = "desk:Desk" }] }]'
    )
    exit_code, found = checked(capsys, "--topology", "all.toml")
    assert exit_code == 1
    assert found["nobody"] == []
    assert [each["why"].partition(" Start")[0] for each in found["unread"]] == ["no handler takes str here."]
