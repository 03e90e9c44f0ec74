"""All races of a run, and how they are told: as a table and as data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any, Final, cast

from attrs import asdict, frozen

from .contenders import Contender
from .jobs import Job, races, worth
from .race import Race
from .score import Score, score
from .world import World

__all__ = ["REFERENCE", "Results", "as_data", "race_all", "table"]

REFERENCE: Final = "ladder"
"""Whom the others are compared with."""


@frozen
class Results:
    """The scores of every policy in every world."""

    seeds: tuple[int, ...]
    worlds: tuple[tuple[World, tuple[Score, ...]], ...]
    complete: bool = True
    """False: it was interrupted, and some worlds are missing."""


def race_all(
    worlds: Sequence[World],
    seeds: Sequence[int],
    contenders: Sequence[Contender],
    *,
    timer: Callable[[], float] | None = None,
    told: Callable[[str], None] = lambda _: None,
    processes: int = 1,
) -> Results:
    """Run every policy in every world under every seed; `told` hears of each race before what came of it is there.

    Blocks. Where it is interrupted (`KeyboardInterrupt`), the worlds that are done are the result; `Results.complete`
    says so.
    """
    found: list[tuple[World, tuple[Score, ...]]] = []
    jobs = [Job(world, seed, each, timer) for world in worlds for each in contenders for seed in seeds]
    try:
        with closing(races(jobs, worth(processes, len(jobs)))) as running:
            for world in worlds:
                by_policy: dict[str, list[Race]] = {}
                for contender in contenders:
                    for seed in seeds:
                        told(f"{world.name} · {contender.name} · seed {seed}")
                        by_policy.setdefault(contender.name, []).append(next(running))
                against = (REFERENCE, by_policy[REFERENCE]) if REFERENCE in by_policy else None
                scores = [score(name, run, against if name != REFERENCE else None) for name, run in by_policy.items()]
                found.append((world, tuple(scores)))
    except (KeyboardInterrupt, BaseExceptionGroup) as error:
        if isinstance(error, BaseExceptionGroup) and error.subgroup(KeyboardInterrupt) is None:
            raise
        return Results(tuple(seeds), tuple(found), complete=False)
    return Results(tuple(seeds), tuple(found))


def as_data(results: Results) -> dict[str, Any]:
    """As plain data, for JSON: the same for the same seeds, but for what a timer measured."""
    return {
        "seeds": list(results.seeds),
        "reference": REFERENCE,
        **({} if results.complete else {"complete": False}),
        "worlds": [
            {"name": world.name, "says": world.says, "policies": [_rounded(asdict(row)) for row in rows]}
            for world, rows in results.worlds
        ],
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return {key: _rounded(item) for key, item in items if key != "latency" or item is not None}
    if isinstance(value, (list, tuple)):
        return [_rounded(item) for item in cast("Sequence[Any]", value)]
    return value


_HEAD: Final = (
    "policy", "cost", f"to {REFERENCE}", "MTTR s", "p95 s", "available", "wasted", "pages", "wrong", "skill", "error",
    "n",
)  # fmt: skip


def table(results: Results) -> Iterator[str]:
    """Lines for a terminal: a table for each world, the cheapest policy first."""
    count = f"{len(results.seeds)} {'seed' if len(results.seeds) == 1 else 'seeds'}"
    yield f"{count}; wasted restarts, pages and wrong rollbacks are for 100 incidents"
    for world, rows in results.worlds:
        yield ""
        yield f"{world.name}: {world.says}" if world.says else world.name
        yield from _aligned([_HEAD, *(_cells(row) for row in sorted(rows, key=lambda row: row.cost))])
    if any(row.latency is not None for _, rows in results.worlds for row in rows):
        yield ""
        for name, p50, p99 in _latencies(results):
            yield f"{name}: a decision takes {p50:.3f} ms, and {p99:.3f} ms at the 99th percentile"


def _cells(row: Score) -> tuple[str, ...]:
    versus = row.versus
    against = "" if versus is None else f"{versus.mean:+.0f}"
    if versus is not None and versus.ci is not None:
        against += f" ±{(versus.ci[1] - versus.ci[0]) / 2:.0f}"
    return (
        row.policy,
        f"{row.cost:.0f}",
        against,
        f"{row.mttr:.0f}",
        f"{row.mttr_p95:.0f}",
        f"{100 * row.availability:.2f} %",
        f"{row.wasted_restarts:.0f}",
        f"{row.pages:.1f}",
        f"{row.wrong_rollbacks:.1f}",
        f"{row.brier_skill:+.2f}",
        f"{row.ece_debiased:.3f}",
        str(row.outcomes),
    )


def _latencies(results: Results) -> list[tuple[str, float, float]]:
    found: dict[str, tuple[float, float]] = {}
    for _, rows in results.worlds:
        for row in rows:
            if row.latency is not None:
                p50, p99 = found.get(row.policy, (0.0, 0.0))
                found[row.policy] = max(p50, row.latency.p50), max(p99, row.latency.p99)
    return [(name, p50, p99) for name, (p50, p99) in found.items()]


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  " + "  ".join(cells).rstrip()
