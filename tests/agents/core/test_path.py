from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treewarden.agents.core.path import ROOT, Path, check_id

ids = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.:@+-]{0,8}", fullmatch=True)
paths = st.lists(ids, max_size=4).map(lambda parts: Path.parse("/".join(parts)))


@pytest.mark.parametrize("text", ["", "/"])
def test_the_root_is_a_slash(text: str) -> None:
    assert Path.parse(text) == ROOT == "/"


@pytest.mark.parametrize("text", ["desk/writer/2", "/desk/writer/2", "desk/writer/2/"])
def test_slashes_around_a_path_do_not_matter(text: str) -> None:
    path = Path.parse(text)
    assert (path, path.name, path.parent) == ("desk/writer/2", "2", "desk/writer")


def test_the_root_is_its_own_parent_and_the_parent_of_the_first_level() -> None:
    assert ROOT.parent == ROOT
    assert ROOT.name == "/"
    assert Path("desk").parent == ROOT
    assert ROOT / "desk" == "desk"


@pytest.mark.parametrize("bad", ["", " ", "a b", "a/b", ".", "..", ".a", "-a", "ä", "a\n"])
def test_what_cannot_name_a_slot_is_refused_with_a_remedy(bad: str) -> None:
    with pytest.raises(ValueError, match="cannot name a slot: use letters") as refused:
        check_id(bad)
    assert repr(bad) in str(refused.value)


def test_an_id_has_an_end_and_so_has_what_is_said_of_it() -> None:
    assert check_id("a" * 200)
    for bad in ("a" * 201, "a" * 1_000_000, "\n" * 1_000_000, "\u0430" * 1_000_000):
        with pytest.raises(ValueError, match="cannot name a slot: use ") as refused:
            check_id(bad)
        assert len(str(refused.value)) < 300


@pytest.mark.parametrize(("lookalike", "told"), [("a\u200b", r"\u200b"), ("\u0430", r"\u0430"), ("\uff41", r"\uff41")])
def test_what_looks_like_another_id_is_told_apart(lookalike: str, told: str) -> None:
    with pytest.raises(ValueError, match="cannot name a slot") as refused:
        check_id(lookalike)
    assert told in str(refused.value)


@pytest.mark.parametrize("long", ["a/" * 1000 + "b", "a" * 1_000_000, "/" * 1_000_000])
def test_a_path_from_outside_has_an_end(long: str) -> None:
    with pytest.raises(ValueError, match=r"is no path: use at most 2,000 characters; it has [\d,]+$") as refused:
        Path.parse(long)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize("bad", ["a//b", "a/./b", "a/../b", "a/b c"])
def test_a_path_from_outside_is_checked_part_by_part(bad: str) -> None:
    with pytest.raises(ValueError, match="cannot name a slot"):
        Path.parse(bad)


@pytest.mark.parametrize(
    ("here", "text", "there"),
    [
        ("desk/writer", "../sink", "desk/sink"),
        ("desk/writer", "./draft", "desk/writer/draft"),
        ("desk/writer", "../../other", "other"),
        ("desk/writer", "../..", "/"),
        ("writer", "../sink", "sink"),
        ("writer", "..", "/"),
        ("writer", "../../../sink", "sink"),
        ("desk/writer", "sink", "sink"),
        ("desk/writer", "/desk/sink", "desk/sink"),
        ("/", "./a", "a"),
    ],
)
def test_a_relative_path_is_seen_from_here(here: str, text: str, there: str) -> None:
    assert Path(here).resolve(text) == there


def test_a_relative_path_is_checked_too() -> None:
    with pytest.raises(ValueError, match="'a b' cannot name a slot"):
        Path("desk").resolve("./a b")


@given(paths, ids)
def test_a_child_is_within_its_parent_and_names_it(path: Path, id: str) -> None:
    child = path / id
    assert child.parent == path
    assert child.name == id
    assert child.is_within(path)
    assert child.is_within(ROOT)
    assert not path.is_within(child)
    assert Path.parse(child) == child
    assert path.resolve(f"./{id}") == child


def test_a_longer_name_is_not_within_a_shorter_one() -> None:
    assert not Path("desk2/a").is_within(Path("desk"))
    assert Path("desk/a").is_within(Path("desk"))
    assert Path("desk").is_within(Path("desk"))
