"""The colony's table and its drawing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

from attrs import frozen
from colony_fate import JOBS
from colony_measure import Run

from treewarden.agents.core.said import plural
from treewarden.topologies.core.intervals import of_mean, said

__all__ = ["Row", "as_svg", "as_text", "rows"]


@frozen
class Row:
    """One contender in one profile."""

    profile: str
    contender: str
    runs: tuple[Run, ...]

    def values(self, metric: str) -> list[float]:
        return [float(getattr(run, metric)) for run in self.runs]


def rows(runs: Mapping[tuple[str, str], Sequence[Run]]) -> list[Row]:
    return [Row(profile, contender, tuple(each)) for (profile, contender), each in runs.items()]


def as_text(found: Sequence[Row], seeds: int, speed: float) -> str:
    """Means over seeds, with the 95 % interval of the mean where there is more than one."""
    heads = f"{'profile':<9} {'':<17} {'cost':>18} {'wall':>14} {'recoveries':>17} {'duplicated':>15} {'repeated':>15}"
    lines = [
        f"{JOBS} jobs of 5 stages, {plural(seeds, 'seed')}, {speed:g} s of the colony in one of the wall; "
        "per run, on average",
        "",
        heads + "  jobs completed",
    ]
    before = ""
    for row in found:
        if before not in ("", row.profile):
            lines.append("")
        before = row.profile
        cells = [
            f"{_said(row.values('cost'), '.3f', '$'):>18}",
            f"{_said(row.values('wall'), '.0f', '', ' s'):>14}",
            *(f"{_said(row.values(metric), '.1f'):>{width}}" for metric, width in
              (("recoveries", 17), ("duplicated", 15), ("repeated", 15))),
        ]  # fmt: skip
        jobs = said(sum(run.completed for run in row.runs), JOBS * len(row.runs))
        lines.append(f"{row.profile:<9} {row.contender:<17} {' '.join(cells)}  {jobs}")
    return "\n".join([*lines, "", *_wins(found)])


def _said(values: Sequence[float], form: str, unit: str = "", after: str = "") -> str:
    mean, interval = sum(values) / len(values), of_mean(values)
    text = f"{unit}{mean:{form}}{after}"
    return text if interval is None else f"{text} ±{(interval[1] - interval[0]) / 2:{form}}"


def _wins(found: Sequence[Row]) -> list[str]:
    """Where somebody else was better than treewarden, seed by seed, with the interval of the difference."""
    lines: list[str] = []
    for row in found:
        ours = next(each for each in found if each.profile == row.profile and each.contender == "treewarden")
        for metric, sign in (("completed", -1.0), ("cost", 1.0), ("wall", 1.0), ("duplicated", 1.0), ("repeated", 1.0)):
            gaps = [
                sign * (a - b) for a, b in zip(ours.values(metric), row.values(metric), strict=True)
            ]  # above 0: the other one is better
            mean, interval = sum(gaps) / len(gaps), of_mean(gaps)
            if mean > 0 and (interval is None or interval[0] > 0):
                span = "" if interval is None else f" ({interval[0]:.3g} to {interval[1]:.3g})"
                lines.append(f"{row.profile}: {row.contender} is better in {metric} by {mean:.3g}{span}")
    return lines or ["Nobody is better than treewarden in anything by more than chance."]


def as_svg(found: Sequence[Row]) -> str:
    """Jobs completed, cost and wall time: a bar for each contender, a panel for each profile."""
    panels = (("completed", "jobs completed, of 20"), ("cost", "cost, $"), ("wall", "wall time, s"))
    profiles = list(dict.fromkeys(row.profile for row in found))
    colours = ("#1b6ca8", "#8a8a8a", "#d08a2e")
    width, left, bar, gap = 300, 130, 16, 14
    height = 70 + sum(gap + bar * sum(row.profile == profile for row in found) for profile in profiles)
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width * len(panels)} {height}"'
        ' font-family="system-ui, sans-serif" font-size="11">',
        f'<rect width="{left + width * len(panels)}" height="{height}" fill="#ffffff"/>',
    ]
    for panel, (metric, title) in enumerate(panels):
        at = left + width * panel
        most = max(max(row.values(metric)) for row in found) or 1.0
        drawn.append(f'<text x="{at}" y="24" font-size="14">{escape(title)}</text>')
        y = 40
        for profile in profiles:
            mine = [row for row in found if row.profile == profile]
            for number, row in enumerate(mine):
                values = row.values(metric)
                mean, interval = sum(values) / len(values), of_mean(values)
                scale = (width - 90) / most
                middle = y + bar / 2
                if panel == 0:
                    label = f"{profile}, {row.contender}"
                    drawn.append(f'<text x="{left - 8}" y="{middle + 4}" text-anchor="end">{escape(label)}</text>')
                length, colour = f"{mean * scale:.1f}", colours[number % 3]
                drawn.append(f'<rect x="{at}" y="{y + 2}" width="{length}" height="{bar - 4}" fill="{colour}"/>')
                if interval is not None:
                    low, high = (at + max(0.0, end) * scale for end in interval)
                    drawn.append(f'<path d="M{low:.1f} {middle}H{high:.1f}" stroke="#222222"/>')
                text = f"{mean:.3g}"
                drawn.append(f'<text x="{at + mean * scale + 22:.1f}" y="{middle + 4}">{text}</text>')
                y += bar
            y += gap
    return "\n".join([*drawn, "</svg>", ""])
