"""TOML files as files: what they are called, what they include, and what they import from where."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import IO, Any, Final

import pytest

from treewarden.supervisor import written_file
from treewarden.supervisor.core.spec import ChildSpec, RestartPolicy
from treewarden.topologies.core.blueprint import walk
from treewarden.topologies.errors import BlueprintError
from treewarden.topologies.toml import Topology, load, loads
from treewarden.topologies.tree import tree

FOLDER: Final = Path(__file__).parent / "bad_toml"


def test_a_file_has_a_name_and_may_name_a_journal(tmp_path: Path) -> None:
    assert load(_write(tmp_path, "shop.toml", 'journal = "shop.db"\nchildren = []')) == Topology(
        tree(), journal="shop.db", name="shop"
    )
    assert loads("children = []") == Topology(tree(), journal=None, name="tree")


def test_windows_lines_and_a_mark_at_the_start_are_read(tmp_path: Path) -> None:
    file = tmp_path / "shop.toml"
    file.write_bytes(b'\xef\xbb\xbfid = "shop"\r\nchildren = []\r\n')
    assert load(file).blueprint.id == "shop"


def test_a_file_includes_others_as_seen_from_itself(tmp_path: Path) -> None:
    _write(tmp_path, "parts/agents_of_parts.py", "from treewarden.agents.agent import Agent\nclass Clerk(Agent): ...")
    _write(tmp_path, "parts/one.toml", 'id = "x"\nchildren = [{ id = "two", file = "deep/two.toml" }]')
    _write(tmp_path, "parts/deep/two.toml", 'children = [{ id = "three", file = "../three.toml" }]')
    _write(tmp_path, "parts/three.toml", 'children = [{ id = "clerk", agent = "agents_of_parts:Clerk" }]')
    both = """
    children = [
      { id = "a", file = "parts/one.toml", restart = "transient" },
      { id = "b", file = "parts/one.toml" },
    ]
    """
    made = load(_write(tmp_path, "all.toml", both)).blueprint
    assert [path for path, _ in walk(made)] == [
        *("/", "a", "a/two", "a/two/three", "a/two/three/clerk"),
        *("b", "b/two", "b/two/three", "b/two/three/clerk"),
    ]
    assert [each.restart for each in made.children] == [RestartPolicy.TRANSIENT, RestartPolicy.PERMANENT]


def test_a_file_that_includes_itself_is_named_once_around(tmp_path: Path) -> None:
    file = _write(tmp_path, "me.toml", 'children = [{ id = "a", file = "./me.toml" }]')
    with pytest.raises(
        BlueprintError, match=r"me.children\[0\].file: './me.toml' is a cycle of files: me.toml -> me.toml"
    ):
        load(file)


def test_the_folder_of_the_file_comes_first_while_it_imports_and_only_then(tmp_path: Path) -> None:
    text = "import sys\nfrom treewarden.agents.agent import Agent\nclass Clerk(Agent): first = sys.path[0]"
    _write(tmp_path, "clerk_of_path.py", text)
    before = list(sys.path)
    made = load(_write(tmp_path, "shop.toml", 'children = [{ id = "a", agent = "clerk_of_path:Clerk" }]')).blueprint
    (spec,) = (spec for _, spec in walk(made) if isinstance(spec, ChildSpec))
    assert getattr(spec.agent, "first", None) == str(tmp_path.resolve())
    assert sys.path == before


def test_packages_and_nested_classes_are_found(tmp_path: Path) -> None:
    _write(tmp_path, "shop_package/__init__.py", "")
    text = "from treewarden.agents.agent import Agent\nclass Shop:\n    class Clerk(Agent): ..."
    _write(tmp_path, "shop_package/people.py", text)
    made = loads('children = [{ id = "a", agent = "shop_package.people:Shop.Clerk" }]', tmp_path).blueprint
    (spec,) = (spec for _, spec in walk(made) if isinstance(spec, ChildSpec))
    assert getattr(spec.agent, "__qualname__", None) == "Shop.Clerk"


def test_a_module_of_the_same_name_from_elsewhere_is_not_taken_for_it(tmp_path: Path) -> None:
    agents = "from treewarden.agents.agent import Agent\nclass Clerk(Agent): ..."
    text = 'children = [{ id = "a", agent = "clerks_of_both:Clerk" }]'
    for place in ("here", "there"):
        _write(tmp_path, f"{place}/clerks_of_both.py", agents)
    loads(text, tmp_path / "here")
    loads(text, tmp_path / "here")
    with pytest.raises(BlueprintError) as refused:
        loads(text, tmp_path / "there", "shop")
    assert str(refused.value.problems[0]) == (
        "shop.children[0].agent: 'clerks_of_both:Clerk' names a module beside this file, but another 'clerks_of_both' "
        f"is imported already, from {tmp_path / 'here' / 'clerks_of_both.py'}; rename one of them"
    )
    _write(tmp_path, "there/sys.py", agents)
    with pytest.raises(BlueprintError, match="another 'sys' is imported already, as a part of Python"):
        loads('children = [{ id = "a", agent = "sys:Clerk" }]', tmp_path / "there")


def test_a_module_is_no_agent(tmp_path: Path) -> None:
    _write(tmp_path, "clerk_importing.py", "import json")
    with pytest.raises(
        BlueprintError, match=r"'clerk_importing:json' is a module, not an Agent class; derive it from "
    ):
        loads('children = [{ id = "a", agent = "clerk_importing:json" }]', tmp_path)


def test_a_syntax_error_in_a_module_is_placed(tmp_path: Path) -> None:
    _write(tmp_path, "clerk_with_slip.py", "x = 1\nclass Clerk(Agent:\n")
    with pytest.raises(BlueprintError, match=r"cannot be imported: SyntaxError: .*; mend clerk_with_slip.py line 2"):
        loads('children = [{ id = "a", agent = "clerk_with_slip:Clerk" }]', tmp_path)


def test_a_module_that_exits_is_a_fault_like_any_other(tmp_path: Path) -> None:
    _write(tmp_path, "clerk_that_leaves.py", "raise SystemExit(3)")
    with pytest.raises(BlueprintError, match=r"cannot be imported: SystemExit: 3; mend clerk_that_leaves.py line 1"):
        loads('children = [{ id = "a", agent = "clerk_that_leaves:Clerk" }]', tmp_path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BlueprintError, match=r"'shop\.toml' cannot be read: no such file or directory; there"):
        load(tmp_path / "shop.toml")
    _write(tmp_path, "shop.toml", "children = []")
    with pytest.raises(BlueprintError, match=r"'shpo\.toml' cannot be read: .*, did you mean 'shop\.toml'\?"):
        load(tmp_path / "shpo.toml")
    with pytest.raises(BlueprintError, match="cannot be read: is a directory"):
        load(tmp_path)
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(BlueprintError, match=r"'folder\.toml' cannot be read: is a directory.*shop\.toml"):
        load(tmp_path / "folder.toml")


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(tmp_path, "shop.toml", 'children = [{ id = "a", file = "desk.toml" }]')
    _write(tmp_path, "desk.toml", "children = []")
    for closed, place in (("shop.toml", "shop.toml"), ("desk.toml", "desk.toml")):

        def opened(file: str, mode: str, closed: str = closed) -> IO[Any]:
            if Path(file).name == closed:
                raise PermissionError(errno.EACCES, "Permission denied", str(file))
            return open(file, mode)

        monkeypatch.setattr(written_file, "open", opened, raising=False)
        with pytest.raises(BlueprintError, match=f"'{place}' cannot be read: permission denied; give this user"):
            load(tmp_path / "shop.toml")


def test_a_module_that_is_no_text_of_pythons_is_the_one_to_mend(tmp_path: Path) -> None:
    (tmp_path / "clerk_of_zeros.py").write_bytes(b"x = 1\0")
    with pytest.raises(BlueprintError, match=r"cannot be imported: .*; mend \S*clerk_of_zeros\.py"):
        loads('children = [{ id = "a", agent = "clerk_of_zeros:Clerk" }]', tmp_path)


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    file = tmp_path / "shop.toml"
    file.write_bytes(b'id = "shop"\nchildren = []\n# caf\xe9\n')
    with pytest.raises(BlueprintError, match="shop, line 3: the byte 0xe9 is not UTF-8; save the file as UTF-8"):
        load(file)


def test_a_blueprint_from_a_function_is_checked_too(tmp_path: Path) -> None:
    text = """
        from treewarden.agents.agent import Agent
        from treewarden.topologies.child import child
        from treewarden.topologies.tree import tree

        class Clerk(Agent): ...

        def shop():
            return tree(child(Clerk, outlet=("../nobody",)), child(Clerk, id="b", args={"x": 1}))
        """
    _write(tmp_path, "shop_with_faults.py", dedent(text))
    with pytest.raises(BlueprintError) as refused:
        loads('children = [{ id = "a", tree = "shop_with_faults:shop" }]', tmp_path, "shop")
    assert [str(each) for each in refused.value.problems] == [
        "shop.children[0].tree.children[b].args.x: 'x' is not an argument; Clerk takes no arguments",
        "shop.children[0].tree.children[clerk].outlet[0]: '../nobody' points nowhere, there is no a/nobody; "
        "an outlet is a path seen from its slot (../sibling), or from the root",
    ]


def test_reading_needs_no_loop_and_starts_nothing() -> None:
    program = (
        "import sys; from treewarden.topologies.toml import load\n"
        f"load({str(FOLDER / 'parts' / 'good.toml')!r})\n"
        "import threading; print(threading.active_count(), 'sqlite3' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd="/")
    assert ran.stdout.split() == ["1", "False"]


def _write(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")
    return file
