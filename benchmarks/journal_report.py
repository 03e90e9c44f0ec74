"""The journal's table: medians, spreads, ratios to the floor and a verdict, as text and as a drawing."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

from attrs import define, field, frozen
from figures import Figures

__all__ = ["Bar", "Found", "as_svg", "as_text", "verdict"]


@frozen
class Bar:
    """What a row has to reach."""

    value: float
    unit: str = "F"
    """`F`: the rate as a ratio to the floor. The name of another row: as a ratio to that one."""
    low: bool = False
    """Less is better."""
    p99: float | None = None
    """Milliseconds."""
    stall: float | None = None
    """Milliseconds for which the event loop may be held."""

    def __str__(self) -> str:
        sign = "at most" if self.low else "at least"
        more = [f"p99 {self.p99:g} ms"] if self.p99 is not None else []
        more += [f"stall {self.stall:g} ms"] if self.stall is not None else []
        unit = {"": "", "F": " F", "ms": " ms", "B": " B", "/s": "/s"}.get(self.unit, f" x {self.unit}")
        return ", ".join([f"{sign} {self.value:g}{unit}", *more])


@define
class Found:
    """All runs of one row."""

    name: str
    title: str
    bar: Bar
    runs: list[Figures] = field(factory=list[Figures])
    floors: list[float] = field(factory=list[float])
    """Of each run: the mean of the floors before and after it, 10,000 at most."""
    beside: float | None = None
    """What the row has shown that this one is compared with."""

    def add(self, figures: Figures, floor: float) -> None:
        self.runs.append(figures)
        self.floors.append(floor)

    @property
    def values(self) -> list[float]:
        """What the bar is about, of each run."""
        if self.bar.unit == "F":
            return [run.value / floor for run, floor in zip(self.runs, self.floors, strict=True)]
        if self.bar.unit in ("", "ms", "B", "/s"):
            return [run.value for run in self.runs]
        return [run.value / self.beside for run in self.runs] if self.beside else [math.nan]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def worst(self, what: str) -> float | None:
        """The median of what `Figures` calls `what`, if the row has it."""
        seen = [number for run in self.runs if (number := getattr(run, what)) is not None]
        return statistics.median(seen) if seen else None


def verdict(found: Found) -> str:
    """PASS or FAIL: the medians against the bar."""
    bar = found.bar
    good = found.median <= bar.value if bar.low else found.median >= bar.value
    for what, most in (("p99", bar.p99), ("stall", bar.stall)):
        seen = found.worst(what)
        good &= most is None or (seen is not None and seen <= most)
    return "PASS" if good else "FAIL"


def as_text(rows: Sequence[Found], facts: Mapping[str, Any]) -> str:
    lines = [
        f"F = {facts['floor']:,.0f} one-row commits/s of plain sqlite3 on this disk, "
        f"{facts['lowest']:,.0f} to {facts['highest']:,.0f} meanwhile",
    ]
    if facts["processor"] is not None:
        lines.append(f"Kept on one processor, number {facts['processor']}; --processors all is without that.")
    if facts["capped"]:
        lines.append("Where it was above 10,000/s it counts as 10,000: a disk that is faster does not really sync.")
    lines += ["", f"{'row':<13} {'found':>20} {'rate':>14} {'p99':>9} {'stall':>9} {'of CPU':>9}  {'':4} bar"]
    for each in rows:
        low, high = min(each.values), max(each.values)
        unit = each.bar.unit if each.bar.unit in ("F", "ms", "B", "/s") else "x" if each.bar.unit else ""
        found = f"{human(each.median)}{unit} ({human(low)}-{human(high)})"
        rate = f"{statistics.median(run.value for run in each.runs):,.0f}/s" if each.bar.unit in ("F", "/s") else ""
        plain = each.worst("plain")
        if plain is not None:
            rate = f"plain {plain:.1f} ms"
        p99, stall, held = (
            f"{number:.1f} ms" if (number := each.worst(what)) is not None else "" for what in ("p99", "stall", "held")
        )
        lines.append(
            f"{each.name:<13} {found:>20} {rate:>14} {p99:>9} {stall:>9} {held:>9}  {verdict(each)} {each.bar}"
        )
    return "\n".join(lines)


def human(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


def as_svg(rows: Sequence[Found], title: str) -> str:
    """How many times better than its bar each row is, on a logarithmic axis; right of the line is better."""
    width, left, row, top = 900, 140, 34, 60
    height = top + row * len(rows) + 40

    def x(times: float) -> float:
        return left + (math.log10(min(max(times, 0.1), 100.0)) + 1) / 3 * (width - left - 120)

    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="system-ui, sans-serif"'
        ' font-size="12">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="{left}" y="24" font-size="15">{escape(title)}</text>',
    ]
    for times, label in ((0.1, "a tenth"), (1.0, "the bar"), (10.0, "10 times"), (100.0, "100 times")):
        at, colour = f"{x(times):.1f}", "#b03030" if times == 1.0 else "#dddddd"
        drawn.append(f'<line x1="{at}" y1="{top - 10}" x2="{at}" y2="{height - 30}" stroke="{colour}"/>')
        drawn.append(f'<text x="{at}" y="{height - 12}" text-anchor="middle" fill="#555">{label}</text>')
    for number, each in enumerate(rows):
        middle, bar = top + row * number + row / 2, each.bar.value
        times = [bar / value if each.bar.low else value / bar for value in each.values if value > 0]
        drawn.append(f'<text x="{left - 10}" y="{middle + 4:.1f}" text-anchor="end">{escape(each.name)}</text>')
        if times:
            at, text = x(statistics.median(times)), escape(f"{human(each.median)} ({each.bar})")
            drawn.append(
                f'<line x1="{x(min(times)):.1f}" y1="{middle}" x2="{x(max(times)):.1f}" y2="{middle}"'
                ' stroke="#1b6ca8" stroke-width="3" opacity="0.4"/>'
            )
            drawn.append(f'<circle cx="{at:.1f}" cy="{middle}" r="5" fill="#1b6ca8"/>')
            drawn.append(f'<text x="{at + 10:.1f}" y="{middle + 4:.1f}">{text}</text>')
    return "\n".join([*drawn, "</svg>", ""])
