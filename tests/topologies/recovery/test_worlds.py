"""The file of worlds: what is shipped, what a world may change, and what is refused by its place."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from treewarden.agents.errors import ConfigurationError
from treewarden.topologies.recovery.incidents import draw
from treewarden.topologies.recovery.world import CAUSES, load_worlds

from .worlds import SHIPPED, world_of, written

TEXT = (resources.files("treewarden.topologies.recovery") / "worlds.toml").read_text("utf-8")


def test_the_shipped_worlds_are_those_of_the_protocol() -> None:
    protocol = (Path(__file__).parents[3] / "docs" / "recovery-protocol.md").read_text("utf-8")
    assert [world.name for world in SHIPPED] == [
        line.split("`")[1] for line in protocol.splitlines() if line.startswith("| `")
    ]


@pytest.mark.parametrize("world", SHIPPED, ids=lambda world: world.name)
def test_every_cause_can_happen_and_be_repaired(world: object) -> None:
    assert world in SHIPPED
    for found in SHIPPED:
        assert tuple(found.causes) == CAUSES
        for cause, nature in found.causes.items():
            assert nature.repairs or cause == "unmodelled"


def test_a_share_of_the_incidents_is_unmodelled() -> None:
    world = next(world for world in SHIPPED if world.name == "unknown_causes")
    total = sum(nature.share for nature in world.causes.values())
    assert world.causes["unmodelled"].share / total == pytest.approx(0.1)


def test_a_world_changes_what_it_names_and_keeps_the_rest(tmp_path: Path) -> None:
    text = TEXT.split("[[world]]")[0] + (
        '[[world]]\nname = "mine"\nincidents = 3\n'
        "[world.causes.hang]\nshows = { stalled = 1.0 }\nrepairs = { restart = 0.5 }\n"
    )
    (world,) = load_worlds(written(tmp_path, text))
    assert (world.name, world.incidents) == ("mine", 3)
    assert dict(world.causes["hang"].shows) == {"stalled": 1.0}
    assert world.causes["hang"].repairs["restart"] == 0.5
    assert world.causes["hang"].repairs["roll_back"] == 0.6
    assert world.causes["leak"] == SHIPPED[0].causes["leak"]


def test_a_file_of_worlds_alone_has_the_shipped_base(tmp_path: Path) -> None:
    (world,) = load_worlds(written(tmp_path, '[[world]]\nname = "mine"\nincidents = 3\n'))
    assert evolve(world, name=SHIPPED[0].name, says=SHIPPED[0].says, incidents=30) == SHIPPED[0]


def test_what_a_base_leaves_out_is_left_out(tmp_path: Path) -> None:
    text = TEXT.replace("roll_back = 0.60, set_aside = 0.10, fall_back = 0.80", "roll_back = 0.60", 1)
    assert "fall_back" not in load_worlds(written(tmp_path, text))[0].causes["hang"].repairs


def test_half_way_the_shares_change() -> None:
    world = next(world for world in SHIPPED if world.name == "shifting")
    assert world.nature("hang", 0).repairs["restart"] == 0.95
    assert world.nature("hang", world.incidents - 1).repairs["restart"] == 0.15


@pytest.mark.parametrize(
    ("find", "put", "complaint"),
    [
        ('incidents = 30', 'incidents = 0', "base.incidents is 0; give a whole number, 1 or more"),
        ('jitter = 0.0', 'jitter = 1.5', "base.jitter is 1.5; give a share"),
        ('jitter = 0.0', 'jitter = "much"', "jitter is 'much'; give a number, 0 or more"),
        ('notices = 1800.0', 'notices = inf', "notices is inf; give a number, 0 or more"),
        ('notices = 1800.0', 'noticed = 1800.0', "base.noticed is 1800.0; there is no such field here, there is name"),
        ('stalled = 0.75, timeout', 'stalled = 0.80, timeout', "causes.hang.shows"),
        ('stalled = 0.75, timeout', 'frozen = 0.75, timeout', "base.causes.hang.shows.frozen is 0.75; there is no"),
        ('[base.causes.hang]', '[base.causes.sulk]', "base.causes.sulk is {'share': 0.09"),
        ('lasts = [221.0, 0.7]', 'lasts = [221.0]', "base.causes.dependency_down.lasts is [221.0]; give [median"),
        ('lasts = [221.0, 0.7]', 'lasts = [0.0, 0.7]', "lasts.0 is 0.0; the median must be above 0"),
        ('name = "far_off"', 'name = "jittered"', "world[2].name is 'jittered'; each world needs a name of its own"),
        ('name = "far_off"', '', "world[2].name is None; give the world a name"),
        ('[world.half_way.shares]', '[world.half_way.parts]', "world[3].half_way.parts is {'transient'"),
        ('\n[base]\n', '\n[bass]\n', "bass is {'incidents': 30"),
        ('\n[base]\n', '\n[base\n', "no TOML"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_by_its_place(find: str, put: str, complaint: str, tmp_path: Path) -> None:
    assert find in TEXT
    file = written(tmp_path, TEXT.replace(find, put, 1))
    with pytest.raises(ConfigurationError) as refused:
        load_worlds(file)
    assert complaint in str(refused.value)
    assert str(refused.value).startswith(file)


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"^nowhere.toml: No such file"):
        load_worlds("nowhere.toml")


@given(seed=st.integers(0, 10_000), place=st.integers(0, len(SHIPPED) - 1))
def test_the_same_seed_draws_the_same_incidents(seed: int, place: int) -> None:
    troubles = draw(SHIPPED[place], seed)
    assert troubles == draw(SHIPPED[place], seed)
    assert len(troubles) == SHIPPED[place].incidents
    for trouble in troubles:
        assert trouble.sign(3) in trouble.nature.shows
        assert sum(trouble.nature.shows.values()) == pytest.approx(1.0)
        assert all(0 <= p <= 1 for p in trouble.nature.repairs.values())
        assert trouble.helps("restart", 2) == trouble.helps("restart", 2)
        assert trouble.person > 0


def test_chances_are_as_the_world_says() -> None:
    tries = [draw(world_of("hang", 1, restart=0.3), seed)[0].helps("restart", 1) for seed in range(2000)]
    assert sum(tries) / len(tries) == pytest.approx(0.3, abs=0.03)


def test_jitter_moves_the_numbers_of_both_halves_alike() -> None:
    world = next(world for world in SHIPPED if world.name == "shifting")
    leaks = [trouble.nature for seed in range(10) for trouble in draw(world, seed) if trouble.cause == "leak"]
    assert all(nature.repairs["restart"] != 0.98 for nature in leaks)
    for seed in range(10):
        shows = {tuple(trouble.nature.shows.items()) for trouble in draw(world, seed) if trouble.cause == "transient"}
        assert len(shows) <= 1
