"""A crash at every place of a run, and what the kit says of treewarden when it is broken on purpose."""

from __future__ import annotations

import re

import trio
from shop import Book, booked, shop

from treewarden.topologies.chaos.campaign import run_seeds
from treewarden.topologies.chaos.promises import no_duplicate_effects
from treewarden.topologies.chaos.proving import prove
from treewarden.topologies.chaos.reporting import html, summary
from treewarden.topologies.chaos.run import Setting, run_world
from treewarden.topologies.chaos.sabotage import is_caught, sabotage
from treewarden.topologies.chaos.sweep import sweep
from treewarden.topologies.chaos.world import World


async def sells(world: World) -> None:
    """Three orders, each of which is booked once whenever anybody dies."""
    await world.start(shop(world))
    await check(world)


async def sells_carelessly(world: World) -> None:
    """As `sells`, with an outside that does not know its orders by their keys."""
    await world.start(shop(world, knows_keys=False))
    await check(world)
    assert not no_duplicate_effects(world), no_duplicate_effects(world)


async def check(world: World) -> None:
    told = [number for number in range(3) if await world.tell("till", Book(number))]
    await world.calm()
    found = await booked(world)
    assert set(told) <= set(found)
    assert len(set(found)) == len(found)


def test_every_place_is_tried_once() -> None:
    total = sweep(sells, test="sells", within=0.5, pairs=5)
    assert (total.findings, total.pairs) == ([], 5)
    assert total.runs == sum(total.points.values()) + 5
    assert total.points["effect"] == total.reached["effect"] == 6
    assert (total.reached, total.missed) == (total.points, {})  # also while the tree begins, and while it is stopped
    places = sum(total.points.values())
    assert set(total.points) == {"yield", "commit", "committed", "effect"}
    assert total.sentence.startswith("reached yield ")
    pairs = f"pairs {total.both} / 5, of {places * (places - 1) // 2:,} that there are"
    assert total.sentence.endswith(f"effect 6 / 6; {pairs}; 0 failed")


def test_a_report_has_the_places_and_what_was_left_out() -> None:
    swept = sweep(sells, test="sells", within=0.5)
    swept.missed["yield"] = [3]
    total = run_seeds(sells, Setting(within=0.5), range(1), test="sells")
    data = summary("sells", total, run_world(sells, 1, Setting(within=0.5)), swept=swept)
    page = html(data)
    assert data["crash_points"]["places"]["effect"] == {"reached": 6, "of": 6, "missed": []}
    for text in ("6 of 6", "places at which nobody died</h2><p>yield:3<", "0 of * pairs of places were tried", "0 of "):
        assert re.search(re.escape(text).replace(r"\*", "[0-9,]+"), page), text
    assert "no sweep was made" in html(summary("sells", total, run_world(sells, 1, Setting(within=0.5))))


def test_what_fails_at_one_place_is_found() -> None:
    (finding,) = sweep(sells_carelessly, test="sells", within=0.5).findings
    assert finding.run.failures[0].startswith("AssertionError: order 0 was done 2 times")
    (injection,) = finding.replay.injections
    assert str(injection).startswith(("kill * at yield:", "crash * at "))


def test_our_own_trees_are_proved_with_progress() -> None:
    said: list[str] = []
    assert prove(3, ("pool/shared/volatile",), said.append)
    assert said[0].startswith("seeds: 0 of 3, at most 63 % at 95 % failed; ")
    assert said[-1].startswith("sweep of pool/shared/volatile: reached yield ")


def test_a_broken_treewarden_is_noticed() -> None:
    said: list[str] = []
    assert sabotage(said.append, 20, ("forget_the_state", "allow_one_restart_more")).good
    assert said[-1] == "2 of 2 caught"


def test_treewarden_as_it_is_is_not_caught() -> None:
    assert not is_caught("", 3)


async def waits(world: World) -> None:
    await world.start(shop(world))
    await trio.sleep(1.0)
    world.sometimes("it <rained>", False)
    assert world.seed < 2


def test_a_report_says_what_was_covered_and_what_was_not() -> None:
    total = run_seeds(waits, Setting(within=0.5), range(3), test="waits")
    data = summary("waits", total, run_world(waits, 1, Setting(within=0.5)))
    assert data["failed"] == "1 of 3, 0.84 % to 91 % at 95 %"
    assert data["never_reached"] == ["it <rained>"]
    assert "kill" in data["never_struck"]
    page = html(data)
    assert "it &lt;rained&gt;" in page
    assert f"treewarden chaos replay {data['findings'][0]['replay']}" in page
    assert "<svg" in page


async def recovers(world: World) -> None:
    tree = await world.start(shop(world))
    tree.kill("till")
    await trio.sleep(1.0)
    world.process.crash(0.5)
    await trio.sleep(1.0)


def test_the_picture_has_faults_and_recoveries_on_the_line_of_whom_they_happened_to() -> None:
    run = run_world(recovers, 1, Setting(within=3.0))
    told = [(mark.kind, mark.path, mark.text) for mark in run.marks]
    assert ("recovery", "till", "up again, life 2") in told
    assert ("recovery", "", "process 2 is up") in told
    page = html(summary("recovers", run_seeds(recovers, Setting(within=3.0), range(1), test="recovers"), run))
    picture = page[page.index("<svg") : page.index("</svg>")]
    lines = re.findall(r'font-size="12">([^<]*)</text><line', picture)
    assert lines[:2] == ["till", "process"]
    assert len(re.findall(r'<circle[^>]* fill="#1e8449"><title>[0-9.]+ s recovery', picture)) >= 2
    assert re.findall(r"<text[^>]*>([0-9.]+) s<", picture)[0] == "0"
