"""The process that gets killed: it feeds the ledger tree, or opens it again, waits until it is idle and prints it."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from pathlib import Path

import trio
from attrs import asdict
from ledger_tree import FRONTS, Count, Look, LookUp, Put, ledger  # its folder is the script's own

from treewarden.supervisor.core.event import Recorded
from treewarden.topologies.open import open_tree
from treewarden.topologies.running import Tree


async def feed(tree: Tree, front: str, n: int) -> None:
    """Tell one front numbers in order, for ever, and print each that was acknowledged."""
    ref = tree.ref(front)
    while True:
        await ref.tell(Put(n))
        os.write(1, f"{front} {n}\n".encode())
        n += 1


async def feed_all(tree: Tree, starts: list[int]) -> None:
    os.write(1, b"ready\n")
    async with trio.open_nursery() as nursery:
        for place in range(FRONTS):
            nursery.start_soon(feed, tree, f"front{place}", starts[place])


async def report(tree: Tree) -> None:
    """Print, as JSON, what the fronts, the book and the events say.

    An ask waits behind everything that was told before it, and its reply leaves after what was settled before it: so
    once the fronts have answered, all of theirs waits at the book.
    """
    counts: dict[str, Count] = {}
    for place in range(FRONTS):
        counts[f"front{place}"] = await tree.ref(f"front{place}").ask(Look(), within=30)
    books = await tree.ref("book").ask(LookUp(), within=30)
    facts: Counter[str] = Counter()
    repeated: set[tuple[str, int]] = set()
    seen: set[tuple[str, int]] = set()
    head = tree.head
    async with tree.events() as records:
        async for record in records:
            event = record.event
            if isinstance(event, Recorded):
                fact = (str(event.path), int(event.facts["n"]))
                (repeated if fact in seen else seen).add(fact)
                facts[fact[0]] += 1
            if record.seq >= head:
                break
    found = {
        "fronts": {name: asdict(count) for name, count in counts.items()},
        "books": {name: asdict(count) for name, count in books.counts.items()},
        "facts": dict(facts),
        "repeated": sorted(repeated),
        "after_crash": tree.opened.after_crash,
    }
    os.write(1, json.dumps(found).encode())


async def main() -> None:
    journal = Path(sys.argv[1])
    async with open_tree(ledger(), journal=journal) as tree:
        if sys.argv[2] == "report":
            await report(tree)
        else:
            await feed_all(tree, json.loads(sys.argv[2]))


if __name__ == "__main__":
    trio.run(main)
