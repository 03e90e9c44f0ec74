"""The rules of `docs/mailbox.md`, each as what must not be found in the record of a course of events."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise

from .stress_course import Call, Course, Held
from .stress_world import Ended

__all__ = ["broken"]

_ENDS = ("AgentStopped", "AgentFailed", "IntakeClosed")
_TIMED_OUT = re.compile(r"^a(/\d+)?: (no reply to \w+ within [\d.]+ s: \w|\w+ came to its turn after its limit)")


def broken(course: Course, ended: Ended) -> list[str]:
    """Which rules were broken, and by what."""
    return [
        *course.wrong,
        *taking_is_one_step(course, ended),
        *sending_is_one_step(course, ended),
        *control_goes_first(course),
        *a_kill_hits_one_life(course, ended),
        *an_end_is_told_at_once(course),
        *no_work_is_stranded(course, ended),
    ]


def _handled(course: Course) -> Counter[int]:
    """How often a handler was called that did not put its message aside."""
    return Counter(each.number for each in course.begun) - Counter(course.aside)


def taking_is_one_step(course: Course, ended: Ended) -> Iterator[str]:
    """What was accepted is handled once, or given up by name, and never both; what was in hand may be lost."""
    handled, dropped = _handled(course), Counter(number for number, _ in course.dropped)
    dead = Counter(ended.dead) if course.redelivers else dropped
    for number, call in course.calls.items():
        if call.asked:
            if handled[number] > 1:
                yield f"taking: the ask {number} was handled {handled[number]} times"
            if any(each == number and "full" in why for each, why in course.dropped):
                yield f"taking: the ask {number} was dropped by a policy"
            continue
        done = course.done.count(number)
        if done > 1 or handled[number] > 1 + course.redelivers:
            yield f"taking: {number} was handled {handled[number]} times and done {done} times"
        kept = done if course.redelivers else handled[number]
        if call.outcome == "sent" and kept + dead[number] != 1:
            yield f"taking: {number} was sent, handled {kept} times and given up {dead[number]} times"


def sending_is_one_step(course: Course, ended: Ended) -> Iterator[str]:
    """Cancelled or refused is not sent; who sends gets its order, its own reply, or words that say why none came."""
    handled, dropped = _handled(course), {number for number, _ in course.dropped}
    for number, call in course.calls.items():
        there = handled[number] or number in dropped or number in ended.dead or number in course.aside
        if not call.asked and call.outcome != "sent" and there:
            yield f"sending: {number} was {call.outcome}, and was there"
        if call.outcome == "MailboxFull" and there and "were put aside" not in str(call.error):
            yield f"sending: {number} had no room, and was there"
        if call.asked and call.outcome == "replied" and course.done.count(number) != 1:
            yield f"sending: {number} was answered and not handled"
        if call.outcome.startswith("replied "):
            yield f"sending: {number} got the reply of somebody else: {call.outcome}"
        if call.outcome == "AskTimeout":
            if not _TIMED_OUT.match(str(call.error)):
                yield f"sending: {number} timed out without a word about why: {call.error}"
            if getattr(call.error, "retry_safe", False) and number in course.done:
                yield f"sending: {number} could be asked again, it was said, and was done"
    if ended.limits:
        yield f"sending: {ended.limits} limits have stayed behind"
    yield from _order(course)


def _order(course: Course) -> Iterator[str]:
    first: dict[int, int] = {}
    for place, each in enumerate(course.begun):
        if course.agents == 1 and isinstance(course.calls[each.number].message, Held):
            if each.number in course.done:
                first[each.number] = place  # when it was not put aside any more
        else:
            first.setdefault(each.number, place)
    lanes: defaultdict[tuple[int, int, type], list[Call]] = defaultdict(list)
    for call in course.calls.values():
        if call.number in first:
            lanes[call.sender, call.priority, type(call.message)].append(call)
    for calls in lanes.values():
        for one, other in pairwise(calls):
            if first[one.number] > first[other.number]:
                yield f"sending: {one.number} of {one.sender} was sent before {other.number}, and handled after it"


def control_goes_first(course: Course) -> Iterator[str]:
    """The next thing after an order or a kill is to obey it."""
    for life, before in course.orders:
        late = [each.number for each in course.begun[before:] if each.life == life]
        if late:
            yield f"control: life {life} began {late} when it had been ordered to end"


def a_kill_hits_one_life(course: Course, ended: Ended) -> Iterator[str]:
    """No handler is cancelled but in a life that was killed, one in each, and nobody beside it notices."""
    lives = Counter(life for _, life in course.cut.values())
    for life, count in lives.items():
        if course.gone_at is None and life not in course.killed:
            yield f"a kill: life {life} was not killed, and its handler was cancelled"
        if count > 1:
            yield f"a kill: {count} handlers of life {life} were cancelled"
    if course.lives > course.agents + len({life for life, _ in course.orders}) + course.failures:
        yield f"a kill: of {course.lives} lives some have ended for nothing"
    if ended.beside[0] != 1 or ended.beside[1] != sorted(ended.beside[1]) or len(ended.beside[1]) != 20:
        yield f"a kill: the agent beside it has had {ended.beside[0]} lives, and has done {ended.beside[1]}"


def an_end_is_told_at_once(course: Course) -> Iterator[str]:
    """To the asker of what was in hand, and to whoever waits when there will be nobody any more."""
    for number, call in course.calls.items():
        if not call.over:
            yield f"an end: {number} waits still"
        over = course.raised.get(number, course.cut.get(number, (None,))[0] if number in course.cut else None)
        if call.asked and over is not None and call.told_at > over:
            yield f"an end: the handler of {number} ended at {over}, and its asker knew at {call.told_at}"
        gone = course.gone_at
        if gone is not None and call.told_at > max(gone, call.at) and call.outcome != "cancelled":
            yield f"an end: the slot was gone at {gone}, and {number} knew at {call.told_at}: {call.outcome}"


def no_work_is_stranded(course: Course, ended: Ended) -> Iterator[str]:
    """When all is quiet nothing waits, and nobody works beside the others."""
    if ended.waiting != (0, 0, 0, 0):
        yield f"stranded: {ended.waiting} when all was quiet"
    if ended.tasks > 4:
        yield f"multiplied: {ended.tasks} tasks more than before"
