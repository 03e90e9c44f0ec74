"""Files of worlds that somebody got wrong: they are refused by place, value and remedy, or can be raced."""

from __future__ import annotations

import datetime
import json
import math
import tomllib
from pathlib import Path
from typing import Any, cast

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from treewarden.agents.errors import ConfigurationError
from treewarden.topologies.recovery.contenders import CONTENDERS
from treewarden.topologies.recovery.incidents import draw
from treewarden.topologies.recovery.race import run_race
from treewarden.topologies.recovery.world import DAY, World, load_worlds

from .unseen import unseen
from .worlds import written

TEXT = unseen(2, seed=5)
BASE = TEXT.split("[[world]]")[0] + '[[world]]\nname = "w"\n'
ODD: tuple[Any, ...] = (
    -1, 0, 1, 2, 0.5, 1e-12, 1e7, 1e300, math.nan, math.inf, -math.inf, 10**30, True, "", "many", "two\nlines", [],
    [1.0], [1.0, 2.0], [1e5, 9.0], [[]], {}, {"a": 1}, {"crash": 1.0}, datetime.date(2026, 1, 1),
)  # fmt: skip


def toml(value: Any) -> str:
    """A value as TOML in one line."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return json.dumps(value)
        case dict():
            items = cast("dict[str, Any]", value).items()
            return "{" + ", ".join(f"{json.dumps(key)} = {toml(each)}" for key, each in items) + "}"
        case list():
            return "[" + ", ".join(map(toml, cast("list[Any]", value))) + "]"
        case _:
            return str(value)


def places(value: Any, at: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Every place in a file, from the top."""
    if isinstance(value, dict):
        pairs: list[tuple[str | int, Any]] = list(cast("dict[str | int, Any]", value).items())
    else:
        pairs = list(enumerate(cast("list[Any]", value))) if isinstance(value, list) else []
    return [place for key, each in pairs for place in ((*at, key), *places(each, (*at, key)))]


DATA = tomllib.loads(TEXT)
PLACES = places(DATA)


def spoilt(place: tuple[str | int, ...], value: Any, how: str) -> str:
    data = tomllib.loads(TEXT)
    holder: Any = data
    for key in place[:-1]:
        holder = holder[key]
    if how == "gone":
        del holder[place[-1]]
    elif how == "besides" and isinstance(holder, dict):
        holder["besides"] = value
    else:
        holder[place[-1]] = value
    return "\n".join(f"{json.dumps(key)} = {toml(each)}" for key, each in data.items())


def raced(world: World) -> None:
    """It can be drawn, with times that come to an end."""
    for trouble in draw(evolve(world, incidents=min(world.incidents, 8)), 1):
        assert trouble.lasts == math.inf or 0 <= trouble.lasts <= DAY
        assert 0 < trouble.person <= DAY
        assert trouble.sign(2) in trouble.nature.shows


def refused_or_raced(folder: Path, text: str) -> str:
    file = written(folder, text)
    try:
        worlds = load_worlds(file)
    except ConfigurationError as refused:
        said = str(refused)
        assert said.startswith(f"{file}: ")
        assert "; " in said
        assert len(said) < 600
        return said
    for world in worlds:
        raced(world)
    return ""


@settings(max_examples=150)
@given(st.sampled_from(PLACES), st.sampled_from(ODD), st.sampled_from(["other", "gone", "besides"]))
def test_one_wrong_place_is_named_or_does_no_harm(
    tmp_path_factory: pytest.TempPathFactory, place: tuple[str | int, ...], value: Any, how: str
) -> None:
    said = refused_or_raced(tmp_path_factory.mktemp("odd"), spoilt(place, value, how))
    names = [str(part) for part in place if isinstance(part, str)]
    assert not said or any(name in said for name in (*names[-3:], "besides"))


@settings(max_examples=60)
@given(st.integers(0, len(TEXT)), st.integers(1, 40), st.text(max_size=6))
def test_text_that_is_spoilt_anywhere_is_refused_or_can_be_raced(
    tmp_path_factory: pytest.TempPathFactory, at: int, size: int, put: str
) -> None:
    refused_or_raced(tmp_path_factory.mktemp("odd"), TEXT[:at] + put.replace("\r", "") + TEXT[at + size :])


@pytest.mark.parametrize(
    ("put", "complaint"),
    [
        ("notices = 0\n", "world[0].notices is 0.0; give seconds, from 1 to a day"),
        ("notices = 1e9\n", "world[0].notices is 1000000000.0; give a number, 0 or more, 1,000,000 at most"),
        ("incidents = 10_000_000\n", "world[0].incidents is 10000000; give a whole number, 1 or more, 10,000 at most"),
        ("person = [735.0, 800.0]\n", "world[0].person.1 is 800.0; the spread of its logarithm is at most 3"),
        ("person = [1e300, 1.0]\n", "world[0].person.0 is 1e+300; give a number, 0 or more, 1,000,000 at most"),
        ("person = [90_000, 1.0]\n", "world[0].person.0 is 90000.0; the median must be above 0, and a day at most"),
        ("says = 7\n", "world[0].says is 7; say in one line what the world asks"),
        ('name = "two\\nlines"\n', "no TOML"),
        ("costs.page = 0x" + "f" * 9999 + "\n", "costs.page is a number of thousands of digits; give a number"),
        ("costs.page = " + "9" * 9999 + "\n", "no TOML"),
        ("costs.page = " + "[" * 100_000 + "\n", "it is nested too deeply"),
        ("half_way = 1\n", "world[0].half_way is 1; a table is needed here"),
        ("half_way.shares = 1\n", "world[0].half_way.shares is 1; a table is needed here"),
        ("causes.hang.shows = {}\n", "world[0].causes.hang.shows is {}; these shares must add up to 1"),
    ],
)  # fmt: skip
def test_what_would_not_end_or_overflow_is_refused(put: str, complaint: str, tmp_path: Path) -> None:
    assert complaint in refused_or_raced(tmp_path, BASE + put)


def shares(value: float, **others: float) -> str:
    known = dict.fromkeys((cause for cause in DATA["base"]["causes"] if cause != "unmodelled"), value)
    return toml({**known, **others})


def test_half_way_something_must_still_happen(tmp_path: Path) -> None:
    said = refused_or_raced(tmp_path, f"{BASE}half_way.shares = {shares(0)}\n")
    assert "world[0].half_way.shares is 'no share above 0'; let at least one cause happen" in said
    assert not refused_or_raced(tmp_path, f"{BASE}unmodelled = 1.0\nhalf_way.shares = {shares(0)}\n")


def test_what_is_unmodelled_keeps_its_share_half_way_unless_that_is_given(tmp_path: Path) -> None:
    def share(text: str) -> float:
        (world,) = load_worlds(written(tmp_path, f"{BASE}unmodelled = 0.2\nhalf_way.shares = {text}\n"))
        return world.later["unmodelled"].share / sum(nature.share for nature in world.later.values())

    assert share(shares(1)) == pytest.approx(0.2)
    assert share(shares(0.1, unmodelled=0.1)) == pytest.approx(0.1)


def test_a_person_who_would_take_years_takes_a_day(tmp_path: Path) -> None:
    (world,) = load_worlds(written(tmp_path, f"{BASE}person = [80_000, 3.0]\nnotices = 86_400\nunmodelled = 1.0\n"))
    times = [trouble.person for seed in range(10) for trouble in draw(world, seed)]
    assert max(times) == DAY
    (incident,) = run_race(evolve(world, incidents=1), 0, CONTENDERS["kubernetes"]).incidents
    assert incident.by == "person"
    assert incident.down < 2 * DAY
