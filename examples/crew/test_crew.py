"""What has been ordered is published once, whatever happens to writers, model, disk and process.

pytest test_crew.py                                 fifty runs, each with faults of its own
treewarden chaos sweep test_crew:test_crew          the process is killed at every place, one after the other
"""

from __future__ import annotations

import model
import trio
from crew import Article, crew

from treewarden.topologies.chaos import (
    World,
    chaos,
    crash,
    dependency_down,
    disk_full,
    hang,
    kill,
    no_acknowledged_message_lost,
    no_duplicate_effects,
    rate_limited,
)

PARTS = ("history", "taste")
STORM = (
    kill("writers/*", rate=1.0),
    hang("writers/*"),
    crash(budget=2),  # three deaths with a message in hand are its last
    disk_full(),
    dependency_down("model"),
    rate_limited("model", rate=0.5),
)


@chaos(seeds=50, faults=STORM, within=20.0)
async def test_crew(world: World) -> None:
    provider = world.outside.model("model")

    async def ask(topic: str, part: str, found: tuple[str, ...]) -> model.Answer:
        text = model.Text(f"{part}: {found[-1]}") if found else model.Search(f"{part} of {topic}")
        return await provider.ask(100, text)

    async def publish(text: str, key: str) -> None:
        await world.outside.effect(text, idempotent=True)

    world.always(no_acknowledged_message_lost)
    world.always(no_duplicate_effects)
    await world.start(crew(size=3, ask=ask, publish=publish))
    ordered = set[str]()
    for number in range(world.some(10)):
        if await world.tell("editor", Article(f"tea {number}", PARTS)):
            ordered.add("\n".join(f"{part}: all about the {part} of tea {number}" for part in PARTS))
        await trio.sleep(1)

    def all_published(world: World) -> object:
        missing = ordered - {done.key for done in world.outside.effects}
        return f"not published: {', '.join(sorted(missing))}" if missing else True

    await world.eventually(all_published, within=120.0)
    world.sometimes("the process died", world.process.crashes > 0)
