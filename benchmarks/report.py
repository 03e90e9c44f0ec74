"""The table: rows with medians, spreads, ratios and a verdict, as text and as JSON."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import asdict, frozen
from harness import Series, Unit
from rows import Row

__all__ = ["Line", "as_json", "as_text", "best", "human", "ratio", "verdict"]

BY_HAND = "by hand"
OURS = "treewarden"


@frozen
class Line:
    """One row with what was measured."""

    row: Row
    ours: Series
    handwritten: Series | None = None
    peers: tuple[Series, ...] = ()
    absent: tuple[str, ...] = ()
    """Peers that have this row and are not installed, with what installs them."""

    @property
    def everybody(self) -> list[Series]:
        return [self.ours, *([self.handwritten] if self.handwritten else []), *self.peers]


def verdict(line: Line) -> str:
    """PASS or FAIL: the median against the bar. SMALL: the bar is about more pieces than were tried."""
    row, ours = line.row, line.ours
    if not ours.runs:
        return "FAIL"
    reached = ours.median >= row.bar if row.unit.more_is_better else ours.median <= row.bar
    complete = all(run.count >= row.at_least for run in ours.runs)
    if not reached:
        return "FAIL"
    return "PASS" if complete else "SMALL"


def best(line: Line) -> Series | None:
    """The best of the peers that have a number."""
    measured = [each for each in line.peers if each.runs]
    if not measured:
        return None
    choose = max if line.row.unit.more_is_better else min
    return choose(measured, key=lambda each: each.median)


def ratio(ours: Series, other: Series | None) -> float | None:
    """How many times better the first median is; below 1 it is worse. None without two numbers."""
    if other is None or not ours.runs or not other.runs:
        return None
    upper, lower = (ours.median, other.median) if ours.unit.more_is_better else (other.median, ours.median)
    return upper / lower if lower else math.inf


def needed(row: Row) -> float | None:
    """How many times better than the handwritten one the bar was, where the bars come from."""
    if row.reference is None:
        return None
    return row.bar / row.reference if row.unit.more_is_better else row.reference / row.bar


def machine_factor(lines: Sequence[Line]) -> float | None:
    """How fast the handwritten side is here, compared with the machine that the bars come from (median of the rows)."""
    factors = [
        line.handwritten.median / line.row.reference
        if line.row.unit.more_is_better
        else line.row.reference / line.handwritten.median
        for line in lines
        if line.row.reference and line.handwritten and line.handwritten.runs and line.row.unit is not Unit.BYTES
    ]
    return statistics.median(factors) if factors else None


# -- text


def human(value: float, unit: Unit) -> str:
    """A number of three figures: 1.21 M, 560 k, 650 µs, 4,012 B."""
    if unit is Unit.BYTES:
        return f"{value:,.0f} B"
    if unit is Unit.PER_SECOND:
        for size, name in ((1e6, "M"), (1e3, "k")):
            if value >= size * 0.9995:
                return f"{_figures(value / size)} {name}"
        return _figures(value)
    if unit is Unit.MICROSECONDS and value >= 10_000:
        return f"{_figures(value / 1e3)} ms"
    return f"{_figures(value)} {unit}"


def _figures(value: float) -> str:
    return f"{value:,.{max(0, 2 - max(0, math.floor(math.log10(value))))}f}" if value > 0 else "0"


def _cell(series: Series | None) -> str:
    if series is None:
        return "-"
    if not series.runs:
        return "no number"
    low, high = series.spread
    spread = "" if len(series.runs) == 1 else f" [{human(low, series.unit)}-{human(high, series.unit)}]"
    return human(series.median, series.unit) + spread


def _times(value: float | None, needed: float | None = None) -> str:
    if value is None:
        return "-"
    return _figures(value) + (f" ({_figures(needed)})" if needed is not None else "")


def as_text(lines: Sequence[Line], about: Mapping[str, Any]) -> str:
    """The whole report. The ratios say how many times better treewarden is than the other, in this run."""
    rows = [("", "bar", "treewarden", "by hand", "ratio (needed)", "best peer", "ratio", "")]
    for line in lines:
        peer = best(line)
        absent = "not installed" if line.absent and peer is None else _cell(peer)
        rows.append(
            (
                line.row.name,
                ("≥ " if line.row.unit.more_is_better else "≤ ") + human(line.row.bar, line.row.unit),
                _cell(line.ours),
                _cell(line.handwritten),
                _times(ratio(line.ours, line.handwritten), needed(line.row)),
                absent + (f" {peer.name}" if peer is not None else ""),
                _times(ratio(line.ours, peer)),
                verdict(line),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    head = [f"{key}: {value}" for key, value in about.items()]
    factor = machine_factor(lines)
    if factor is not None:
        head.append(f"speed: the handwritten side does {factor:.2f} times what it did where the bars come from")
    return "\n".join([*head, "", *table, "", *_below(lines)])


def _below(lines: Sequence[Line]) -> list[str]:
    """What each row does, and what its numbers do not say."""
    text: list[str] = []
    width = max((len(line.row.name) for line in lines), default=0)
    for line in lines:
        parts = [line.row.title]
        peer = best(line)
        parts += [f"{each.name} {_cell(each)}" for each in line.peers if each is not peer and each.runs]
        parts += [f"{each.name}: {each.note}" for each in line.everybody if each.note]
        parts += [f"{each.name} failed: {each.error}" for each in line.everybody if each.error]
        parts += [f"not installed: {absent}" for absent in line.absent]
        others = [cores for each in line.everybody for cores in each.others]
        if others:
            parts.append(f"others used {statistics.median(others):.1f} cores, at most {max(others):.1f}")
        text.append(f"{line.row.name.ljust(width)}  {'; '.join(parts)}")
    return text


# -- JSON


def as_json(lines: Sequence[Line], about: Mapping[str, Any]) -> dict[str, Any]:
    """Everything, every run included."""
    return {"about": dict(about), "machine_factor": machine_factor(lines), "rows": [_row(line) for line in lines]}


def _row(line: Line) -> dict[str, Any]:
    row, peer = line.row, best(line)
    return {
        "name": row.name,
        "title": row.title,
        "unit": str(row.unit),
        "more_is_better": row.unit.more_is_better,
        "bar": row.bar,
        "reference_by_hand": row.reference,
        "verdict": verdict(line),
        "times_better_than_by_hand_needed": needed(row),
        "times_better_than_by_hand": ratio(line.ours, line.handwritten),
        "best_peer": peer.name if peer is not None else None,
        "times_better_than_best_peer": ratio(line.ours, peer),
        "not_installed": list(line.absent),
        "contenders": [_series(each) for each in line.everybody],
    }


def _series(series: Series) -> dict[str, Any]:
    found: dict[str, Any] = {"name": series.name, "clock": "wall" if series.by_wall else "cpu", "error": series.error}
    if series.runs:
        low, high = series.spread
        found |= {"median": series.median, "min": low, "max": high, "values": series.values}
    return found | {"runs": [asdict(run) for run in series.runs], "cores_used_by_others": series.others}
