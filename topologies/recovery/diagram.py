"""The reliability diagram: what was stated of an action beside how often it was right, as an SVG written by hand."""

from __future__ import annotations

import math
from xml.sax.saxutils import escape

from .results import Results
from .score import Score

__all__ = ["as_svg"]

_SIDE, _GAP, _TOP, _LEFT = 220, 56, 70, 60
_ACROSS = 3
_COLOURS = ("#1b6ca8", "#d08a2e", "#4b9a5b", "#a8407f", "#7a6ff0", "#8a8a8a")


def as_svg(results: Results) -> str:
    """One square for each world: right of it is surer, higher is right more often, on the diagonal is as stated.

    A dot is a tenth of the stated confidences; its area grows with the outcomes in it.
    """
    names = list(dict.fromkeys(row.policy for _, rows in results.worlds for row in rows))
    colours = {name: _COLOURS[place % len(_COLOURS)] for place, name in enumerate(names)}
    across = min(_ACROSS, len(results.worlds))
    down = math.ceil(len(results.worlds) / across)
    width = _LEFT + across * (_SIDE + _GAP)
    height = _TOP + down * (_SIDE + _GAP) + 20
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        ' font-family="system-ui, sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="{_LEFT}" y="24" font-size="15">Stated confidence and how often it was right</text>',
    ]
    for place, name in enumerate(names):
        x = _LEFT + 120 * place
        drawn.append(f'<circle cx="{x}" cy="43" r="4" fill="{colours[name]}"/>')
        drawn.append(f'<text x="{x + 9}" y="47">{escape(name)}</text>')
    for place, (world, rows) in enumerate(results.worlds):
        x = _LEFT + (place % across) * (_SIDE + _GAP)
        y = _TOP + (place // across) * (_SIDE + _GAP)
        drawn += _square(world.name, x, y)
        for row in rows:
            drawn += _dots(row, colours[row.policy], x, y)
    return "\n".join([*drawn, "</svg>", ""])


def _square(name: str, x: int, y: int) -> list[str]:
    drawn = [
        f'<rect x="{x}" y="{y}" width="{_SIDE}" height="{_SIDE}" fill="none" stroke="#cccccc"/>',
        f'<line x1="{x}" y1="{y + _SIDE}" x2="{x + _SIDE}" y2="{y}" stroke="#b03030" stroke-dasharray="4 3"/>',
        f'<text x="{x}" y="{y - 6}">{escape(name)}</text>',
    ]
    for tenth in (0, 5, 10):
        at = tenth * _SIDE / 10
        label = f"{tenth / 10:g}"
        drawn.append(f'<text x="{x + at:.0f}" y="{y + _SIDE + 14}" text-anchor="middle" fill="#777">{label}</text>')
        drawn.append(f'<text x="{x - 6}" y="{y + _SIDE - at + 4:.0f}" text-anchor="end" fill="#777">{label}</text>')
    return drawn


def _dots(row: Score, colour: str, x: int, y: int) -> list[str]:
    most = max((each.count for each in row.reliability), default=1)
    points = [
        (x + each.stated * _SIDE, y + _SIDE - each.fixed * _SIDE, 2 + 7 * math.sqrt(each.count / most))
        for each in row.reliability
    ]
    line = " ".join(f"{at:.1f},{up:.1f}" for at, up, _ in points)
    drawn = [f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-opacity="0.4"/>'] if points else []
    return drawn + [
        f'<circle cx="{at:.1f}" cy="{up:.1f}" r="{size:.1f}" fill="{colour}" fill-opacity="0.6"/>'
        for at, up, size in points
    ]
