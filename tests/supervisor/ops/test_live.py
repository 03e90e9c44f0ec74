"""The live table: what is drawn, when, and that it goes away at the end."""

from __future__ import annotations

import re

import pytest
from attrs import evolve

from treewarden.agents.core.lifecycle import SlotState
from treewarden.supervisor.core.event import ChaosBegan, ChaosEnded
from treewarden.supervisor.ops.live import LiveView
from treewarden.supervisor.ops.wording import Paint
from treewarden.supervisor.views.summary import Summary

from .samples import AGAIN, FIXED, RESTART, history, slot
from .test_views_of_a_run import ENDING, OPENING

CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")
MANY = [slot(f"desk/{n}") for n in range(50)]


def visible(text: str) -> list[str]:
    """The lines of a text without what commands the terminal."""
    return [line.rstrip() for line in CODES.sub("", text).split("\n")]


class Terminal:
    """A terminal's size, which changes."""

    def __init__(self, width: int = 80, height: int = 24) -> None:
        self.size = (width, height)

    def view(self, paint: Paint = Paint(True)) -> LiveView:  # noqa: B008  # a frozen value
        return LiveView(paint, lambda: self.size)


def test_the_tree_is_drawn_below_the_first_line() -> None:
    slots = (slot("desk", supervisor=True), slot("desk/writer", SlotState.RESTARTING, restarts=1, note="in 2 s"))
    text = Terminal().view().opened(OPENING, slots)
    lines = visible(text)
    assert lines[0].startswith("2026-11-21 00:00:00  desk runs; journal my desk.db")
    title = next(line for line in lines if "of 1 up" in line)
    assert title.startswith("desk · since 2026-11-21 00:00:00 · journal my desk.db · 0 of 1 up · 1 restart")
    assert "slot      state       life  restarts  mailbox  handled" in lines
    assert "  writer  restarting     2         1        0        7  in 2 s" in lines
    assert "\x1b[?25l" in text


def test_a_frame_is_drawn_when_something_has_changed() -> None:
    terminal = Terminal()
    view = terminal.view()
    view.opened(OPENING, MANY[:3])
    assert view.frame(MANY[:3]) == ""
    changed = [evolve(MANY[0], mailbox=5), *MANY[1:3]]
    assert any("   5  " in line for line in visible(view.frame(changed)))
    assert view.frame(changed) == ""
    terminal.size = (60, 24)
    assert view.frame(changed) != ""


@pytest.mark.parametrize(
    ("height", "rest"),
    [
        (4, "51 slots: 50 up, 1 held"),
        (12, "and 46 more, all up"),
        (24, "and 40 more, all up"),
        (50, "and 27 more, all up"),
    ],
)
def test_the_table_leaves_room_for_what_happens(height: int, rest: str) -> None:
    text = Terminal(80, height).view().opened(OPENING, [*MANY, slot("desk/bad", SlotState.HELD)])
    lines = [line for line in visible(text)[1:] if line]
    assert len(lines) <= max(4, height - 1)
    assert lines[-2] == rest
    assert lines[2].startswith("desk/bad") or height == 4


def test_what_happens_scrolls_by_above_the_table() -> None:
    view = Terminal(100).view()
    view.opened(OPENING, MANY[:2])
    lines = visible(view.told(history(RESTART, AGAIN, FIXED)))
    decision = next(n for n, line in enumerate(lines) if line.startswith("  decision"))
    table = next(n for n, line in enumerate(lines) if line.startswith("slot"))
    assert decision < table
    assert view.told([]) == ""
    assert "it was read again" in "".join(visible(view.notice("it was read again")))


def test_at_the_end_the_table_goes_and_the_cursor_comes_back() -> None:
    view = Terminal().view()
    view.opened(OPENING, MANY[:2])
    text = view.closed(ENDING)
    assert view.farewell in text
    assert "desk ran 1 min 15 s: ended in order (SIGINT)" in visible(text)
    drawn, _, after = text.partition("desk ran")
    assert drawn[drawn.rfind("Ctrl-C stops") :].count("\x1b[2K") >= 4  # title, heading, two slots: erased
    assert not any(line.startswith("slot") for line in visible(after))


def test_chaos_says_how_it_is_ended_for_as_long_as_it_lasts() -> None:
    view = Terminal(100).view()
    view.opened(OPENING, MANY[:2])
    button = "chaos: `treewarden chaos stop 'my desk.db'` ends it, Ctrl-C the tree with it"
    begun = visible(view.told(history(ChaosBegan(order="seed=7,kill=1/s", by="me"))) + view.frame(MANY[:2]))
    assert button in begun
    over = visible(view.told(history(ChaosEnded(reason="me asked for it", faults=3))) + view.frame(MANY[:2]))
    assert button not in over
    assert "Ctrl-C stops it in order; a second one forces" in over


def test_a_tree_that_did_not_begin_draws_nothing() -> None:
    view = Terminal().view()
    text = view.opened(OPENING, ()) + view.closed(evolve(ENDING, summary=Summary()))
    assert "\x1b[?25l" not in text
    assert not any(line.startswith("slot") for line in visible(text))


def test_without_colours_there_are_none() -> None:
    view = Terminal().view(Paint(False))
    text = view.opened(OPENING, [slot("desk", SlotState.HELD)]) + view.told(history(RESTART))
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", text)


def test_what_an_agent_says_is_text_and_no_markup() -> None:
    view = Terminal(100).view()
    text = view.opened(OPENING, [slot("desk", note="[red]held[/red] \x1b[2J")])
    assert any(line.endswith("[red]held[/red] \\x1b[2J") for line in visible(text))
