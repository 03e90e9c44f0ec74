"""What a campaign came to, on one page: a run as a picture, counts with intervals, and what is open."""

from __future__ import annotations

from html import escape
from typing import Any, Final

from treewarden.agents.core.said import plural

from ..core.intervals import said
from .arms import Arms
from .campaign import Campaign
from .injecting import KINDS
from .run import Run
from .sweep import Sweep

__all__ = ["html", "summary"]

_WIDE: Final = 900
_COLOURS: Final = {
    "fault": "#c0392b",
    "decision": "#2471a3",
    "recovery": "#1e8449",
    "failure": "#000000",
    "note": "#7f8c8d",
}
_TICKS: Final = 6
_STYLE: Final = (
    "body{font:15px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222}"
    "table{border-collapse:collapse}td,th{border-bottom:1px solid #ddd;padding:.2em .8em;text-align:left}"
    ".bad{color:#c0392b}.good{color:#1e8449}"
)


def summary(
    test: str, total: Campaign, shown: Run, arms: Arms | None = None, swept: Sweep | None = None
) -> dict[str, Any]:
    """The report as data: everything that the page shows."""
    return {
        "test": test,
        "failed": said(len(total.findings), total.runs),
        "runs": total.runs,
        "records": total.records,
        "world_seconds": round(total.seconds, 3),
        "faults": dict(total.faults),
        "never_struck": sorted(KINDS.keys() - total.faults.keys()),
        "points": dict(total.points),
        "crash_points": swept.data() if swept is not None else None,
        "sometimes": {name: said(hits, total.runs) for name, hits in total.reached.items()},
        "never_reached": list(total.never),
        "not_replayable": list(total.escapes),
        "outside_of_the_seed": list(total.readings),
        "findings": [
            {"seed": each.run.seed, "failures": list(each.run.failures), "replay": str(each.replay),
             "injections": [str(injection) for injection in each.run.injections]}
            for each in total.findings
        ],
        "timeline": {
            "seed": shown.seed,
            "seconds": shown.seconds,
            "marks": [{"at": mark.at, "kind": mark.kind, "path": mark.path, "text": mark.text} for mark in shown.marks],
        },
        "comparison": arms.data() if arms is not None else None,
    }  # fmt: skip


def html(data: dict[str, Any]) -> str:
    """One page that needs nothing else."""
    findings = data["findings"]
    verdict = "<p class=bad>" if findings else "<p class=good>"
    parts = [
        f"<!doctype html><meta charset=utf-8><title>{escape(data['test'])}</title><style>{_STYLE}</style>",
        f"<h1>{escape(data['test'])}</h1>{verdict}{escape(data['failed'])} failed</p>",
        f"<p>{plural(data['runs'], 'run')}, {data['records']:,} records, "
        f"{data['world_seconds']:,.0f} s of the worlds' time.</p>",
        _comparison(data["comparison"]),
        _picture(data["timeline"]),
        _table("Faults that struck", data["faults"]),
        _table("Reached in some run", data["sometimes"]),
        _crash_points(data["crash_points"]),
        _table("Places where a crash can come, passed", data["points"]),
        _list("Not covered: faults that never struck", data["never_struck"]),
        _list("Not covered: never reached", data["never_reached"]),
        _list("Not replayable", data["not_replayable"]),
        _list("Not covered: read outside of the seed", data["outside_of_the_seed"]),
    ]
    for finding in findings:
        command = f"treewarden chaos replay {finding['replay']}"
        parts.append(f"<h2 class=bad>{escape('; '.join(finding['failures']))}</h2>")
        parts.append(f"<ul>{''.join(f'<li>{escape(each)}</li>' for each in finding['injections'])}</ul>")
        parts.append(f"<pre>{escape(command)}</pre>")
    return "\n".join(part for part in parts if part) + "\n"


def _comparison(data: dict[str, Any] | None) -> str:
    """The three arms, and what the naive runner did better: a comparison that hides that convinces nobody."""
    if data is None:
        return ""
    heads = ("", "runs", "failed", "median seconds", "median steps", "faults struck")
    keys = ("arm", "runs", "failed", "median_seconds", "median_records", "faults")
    rows = "".join(
        "<tr>"
        + "".join(f"<td>{escape(f'{row[key]:,}' if isinstance(row[key], int) else str(row[key]))}</td>" for key in keys)
        + "</tr>"
        for row in data["arms"]
    )
    table = f"<table><tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr>{rows}</table>"
    wins = {name: _counted(each) for name, each in data["naive_wins"].items()}
    losses = {"failed where the supervised tree held": _counted(data["naive_losses"])}
    return "\n".join([
        "<h2>The same seeds three times</h2>", table,
        _table("Where the naive runner did better", wins), _table("Where it did worse", losses),
        _table("What it broke", data["naive_failures"]),
    ])  # fmt: skip


def _crash_points(data: dict[str, Any] | None) -> str:
    """A crash at every place of one run, one at a time: how many were reached, and which were not."""
    if data is None:
        return _list("Not covered: a crash at every place", ["no sweep was made"])
    rows = {kind: f"{each['reached']} of {each['of']}" for kind, each in data["places"].items()}
    missed = [f"{kind}:{n}" for kind, each in data["places"].items() for n in each["missed"]]
    early = ["it ended early, at the first failure"] if data["ended_early"] else []
    pairs = f"{data['pairs']['tried']:,} of {data['pairs']['of']:,} pairs of places were tried"
    return "\n".join(
        part
        for part in (
            _table(f"A crash at every place, one at a time: {data['failed']} failed", rows),
            _list("Not covered: places at which nobody died", [*missed, *early]),
            _list("Not covered: two crashes in one run", [pairs]),
        )
        if part
    )


def _counted(each: dict[str, Any]) -> str:
    seeds = f" (seeds {', '.join(map(str, each['seeds']))})" if each["seeds"] else ""
    return f"{each['count']} of {each['of']}{seeds}"


def _picture(timeline: dict[str, Any]) -> str:
    marks = timeline["marks"]
    if not marks:
        return ""
    end = max(mark["at"] for mark in marks) or 1.0
    lanes = list(dict.fromkeys(map(_lane, marks)))
    rows = [
        f'<text x="0" y="{20 * number + 14}" font-size="12">{escape(lane)}</text>'
        f'<line x1="160" x2="{_WIDE}" y1="{20 * number + 10}" y2="{20 * number + 10}" stroke="#eee"/>'
        for number, lane in enumerate(lanes)
    ]
    for mark in marks:
        x = 160 + (_WIDE - 170) * mark["at"] / end
        y = 20 * lanes.index(_lane(mark)) + 10
        title = escape(f"{mark['at']:.3f} s {mark['kind']} {mark['path']} {mark['text']}")
        colour = _COLOURS[mark["kind"]]
        rows.append(f'<circle cx="{x:.1f}" cy="{y}" r="5" fill="{colour}"><title>{title}</title></circle>')
    below = 20 * len(lanes) + 14
    for number in range(_TICKS + 1):
        x, at = 160 + (_WIDE - 170) * number / _TICKS, end * number / _TICKS
        rows.append(f'<text x="{x:.1f}" y="{below}" font-size="11" text-anchor="middle">{at:.3g} s</text>')
    for number, (kind, colour) in enumerate(_COLOURS.items()):
        x = 165 + 90 * number
        rows.append(f'<circle cx="{x}" cy="{below + 18}" r="5" fill="{colour}"/>')
        rows.append(f'<text x="{x + 9}" y="{below + 22}" font-size="12">{kind}</text>')
    size = f'width="{_WIDE + 20}" height="{below + 30}"'
    return f"<h2>Seed {timeline['seed']}, {end:.1f} s</h2><svg {size} role=img>{''.join(rows)}</svg>"


def _lane(mark: dict[str, Any]) -> str:
    """Whose line it stands on: what has no path happened to the process, or to nobody."""
    return mark["path"] or ("process" if mark["kind"] in ("fault", "recovery") else mark["kind"])


def _table(title: str, rows: dict[str, Any]) -> str:
    if not rows:
        return ""
    body = "".join(
        f"<tr><td>{escape(str(name))}</td><td>{escape(str(value))}</td></tr>" for name, value in rows.items()
    )
    return f"<h2>{escape(title)}</h2><table>{body}</table>"


def _list(title: str, rows: list[str]) -> str:
    return f"<h2>{escape(title)}</h2><p>{escape(', '.join(rows))}</p>" if rows else ""
