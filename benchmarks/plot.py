"""The table as a drawing: every contender against the bar, on a logarithmic axis, as an SVG written by hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from xml.sax.saxutils import escape

from harness import Series
from report import Line, best, human

__all__ = ["as_svg"]

_LEFT, _RIGHT, _TOP, _ROW = 150, 130, 70, 44
_WIDTH = 900
_COLOURS = {"treewarden": "#1b6ca8", "by hand": "#8a8a8a", "peer": "#d08a2e"}


def as_svg(lines: Sequence[Line], title: str) -> str:
    """One row per line of the table; right of the bar is better, whatever the unit.

    A dot is a median, the stroke through it goes from the worst to the best run.
    """
    places = [_place(value, line) for line in lines for series in _shown(line) for value in series.values]
    low, high = _decades(places)
    height = _TOP + _ROW * len(lines) + 50

    def x(place: float) -> float:
        return _LEFT + (math.log10(place) - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}"'
        ' font-family="system-ui, sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="{_LEFT}" y="24" font-size="15">{escape(title)}</text>',
        *_legend(),
    ]
    for decade in range(low, high + 1):
        at, bar = x(10.0**decade), decade == 0
        drawn.append(
            f'<line x1="{at:.1f}" y1="{_TOP - 10}" x2="{at:.1f}" y2="{height - 40}"'
            f' stroke="{"#b03030" if bar else "#dddddd"}" stroke-width="{1.5 if bar else 1}"/>'
        )
        label = "the bar" if bar else f"{10.0**decade:g} times"
        drawn.append(f'<text x="{at:.1f}" y="{height - 22}" text-anchor="middle" fill="#555">{label}</text>')
    for number, line in enumerate(lines):
        middle = _TOP + _ROW * number + _ROW / 2
        bar = human(line.row.bar, line.row.unit)
        drawn.append(f'<text x="{_LEFT - 10}" y="{middle:.1f}" text-anchor="end">{escape(line.row.name)}</text>')
        drawn.append(f'<text x="{_LEFT - 10}" y="{middle + 14:.1f}" text-anchor="end" fill="#888">{escape(bar)}</text>')
        for offset, series in enumerate(_shown(line)):
            drawn += _mark(series, line, x, middle - 10 + 10 * offset)
    return "\n".join([*drawn, "</svg>", ""])


def _shown(line: Line) -> list[Series]:
    """Those of a row that have a number: treewarden, by hand, and the best peer."""
    return [series for series in (line.ours, line.handwritten, best(line)) if series is not None and series.runs]


def _place(value: float, line: Line) -> float:
    """How many times better than the bar."""
    return max(1e-6, value / line.row.bar if line.row.unit.more_is_better else line.row.bar / max(value, 1e-9))


def _decades(places: Sequence[float]) -> tuple[int, int]:
    """The powers of ten round all of them and round the bar."""
    low = math.floor(math.log10(min([*places, 0.5])))
    high = math.ceil(math.log10(max([*places, 2.0])))
    return low, high


def _mark(series: Series, line: Line, x: Callable[[float], float], y: float) -> list[str]:
    colour = _COLOURS.get(series.name, _COLOURS["peer"])
    worst, best_run = (x(_place(value, line)) for value in series.spread)
    at = x(_place(series.median, line))
    text = human(series.median, series.unit) + ("" if series.name in _COLOURS else f" {series.name}")
    return [
        f'<line x1="{worst:.1f}" y1="{y:.1f}" x2="{best_run:.1f}" y2="{y:.1f}" stroke="{colour}" stroke-width="3"/>',
        f'<circle cx="{at:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>',
        f'<text x="{max(worst, best_run, at) + 8:.1f}" y="{y + 4:.1f}" fill="{colour}" font-size="10">'
        f"{escape(text)}</text>",
    ]


def _legend() -> list[str]:
    drawn: list[str] = []
    for number, (name, colour) in enumerate(_COLOURS.items()):
        at = _LEFT + 150 * number
        drawn.append(f'<circle cx="{at}" cy="44" r="4" fill="{colour}"/>')
        drawn.append(f'<text x="{at + 10}" y="48">{"best peer" if name == "peer" else name}</text>')
    return drawn
