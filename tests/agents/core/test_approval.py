"""Whose word counts for an approval, and for what: a table, and any course that messages, people and time can take."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from treewarden.agents.core.approval import (
    Approved,
    Asked,
    Course,
    Expired,
    Refused,
    Ruling,
    Superseded,
    asked_for,
    check_verdict,
    check_within,
    course,
    digest_of,
    meant,
    ruled_text,
    too_late,
)
from treewarden.agents.core.path import Path

DESK = Path("desk")
A, B = digest_of("desk:Pay", '{"cents":5}'), digest_of("desk:Pay", '{"cents":50}')


def asked(row: int = 1, digest: str = A, *, subject: str = "", since: float = 0.0, name: str = "pay") -> Asked:
    return Asked(
        step=f"17b2-{row}>desk~{name}.1", name=name, path=DESK, mail=DESK, kind="Pay", row=row,
        about={"cents": 5}, of="desk:Pay", digest=digest, subject=subject, since=since, due=since + 100.0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("digest", "known", "ruling", "now", "what"),
    [
        (A, None, None, 0.0, Course.BEGIN),
        (A, asked(), None, 99.9, Course.WAIT),
        (A, asked(), None, 100.0, Course.EXPIRE),
        (B, asked(), None, 99.9, Course.ANEW),
        (B, asked(), None, 100.0, Course.EXPIRE),
        (A, asked(), Approved("ada"), 5.0, Course.END),
        (A, asked(), Approved("ada"), 500.0, Course.END),
        (A, asked(), Refused("ada"), 5.0, Course.END),
        (B, asked(), Approved("ada"), 5.0, Course.ANEW),
        (B, asked(), Refused("ada"), 5.0, Course.ANEW),
        (B, asked(), Expired(100.0), 5.0, Course.END),
        (B, asked(), Superseded(3.0, "17b2-2"), 5.0, Course.END),
    ],
)
def test_what_a_handler_finds(
    digest: str, known: Asked | None, ruling: Ruling | None, now: float, what: Course
) -> None:
    assert course(digest, known, ruling, now) is what


def test_the_key_names_what_was_shown() -> None:
    assert asked().key == asked().key
    other = {asked(digest=B).key, asked(2).key, asked(name="send").key, asked(since=7.0).key}
    assert len({asked().key, *other}) == 5
    assert digest_of("desk:Pay", "{}") != digest_of("desk:Send", "{}")


@pytest.mark.parametrize(
    ("verdict", "key", "found", "text"),
    [
        (Approved("ada"), "", [asked()], f"name the key .* {asked().key} \\(pay of Pay\\)"),
        (Approved("ada"), "", [], "name the key of what is approved, so that it is what was shown$"),
        (Approved("ada"), asked(digest=B).key, [asked()], f"no approval with the key .* but {asked().key}"),
        (Refused("ada"), "", [], "no approval waits there; waits"),
        (Refused("ada"), "", [asked(), asked(2)], "2 approvals wait there; name the key of one"),
    ],
)
def test_what_a_person_cannot_have_meant(verdict: Approved | Refused, key: str, found: list[Asked], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        meant(DESK, key, found, verdict)


def test_what_a_person_means() -> None:
    one, two = asked(), asked(2)
    assert meant(DESK, two.key, [one, two], Approved("ada")) is two
    assert meant(DESK, "", [one], Refused("ada")) is one


def test_a_later_message_supersedes_an_earlier_one_of_the_subject() -> None:
    first, second, other = asked(1, subject="api"), asked(2, subject="api"), asked(3, subject="web")
    assert asked_for(second, [first, other], 5.0) == ([first], None)
    assert asked_for(first, [second, other], 5.0) == ([], Superseded(5.0, "17b2-2"))
    assert asked_for(asked(4), [asked(1), first], 5.0) == ([], None), "without a subject nobody supersedes anybody"
    assert asked_for(asked(4, subject="api", name="send"), [first], 5.0) == ([], None)
    assert asked_for(evolve(first, step="17b2-1>desk~pay.2"), [first], 5.0) == ([], None), "a message supersedes others"
    assert asked_for(asked(10, subject="api"), [asked(9, subject="api")], 5.0)[0]


@pytest.mark.parametrize(
    ("verdict", "text"),
    [
        ("yes", "no ruling of a person"),
        (Expired(5.0), "no ruling of a person"),
        (Approved(""), "by is ''"),
        (Approved("  "), "by is '  '"),
        (Refused("ada\nbob"), "in one line"),
        (Refused("x" * 201), "at most 200"),
        (Approved("ada", comment="x" * 4001), "comment has 4,001 characters"),
        (Refused("ada", reason="\ud800"), "reason is .* half a character"),
        (Approved("\ud800"), "by is "),
    ],
)
def test_verdicts_that_are_none(verdict: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        check_verdict(verdict)


@pytest.mark.parametrize("within", [0, -1, float("nan"), float("inf"), "1", True, None, 10**400])
def test_times_that_are_none(within: Any) -> None:
    with pytest.raises(ValueError, match=r"^within is .*; give the seconds"):
        check_within(within)


def test_how_it_ended_as_a_sentence() -> None:
    said = [ruled_text(each, "noon") for each in (
        Approved("ada"), Refused("ada"), Refused("ada", reason="too much"), Expired(5.0), Superseded(5.0, "17b2-2"),
    )]  # fmt: skip
    assert said == [
        "was approved by ada at noon",
        "was refused by ada at noon",
        "was refused by ada at noon: too much",
        "expired at noon",
        "was superseded at noon by 17b2-2",
    ]
    assert [each.approved for each in (Approved("a"), Refused("a"), Expired(1.0), Superseded(1.0, "x"))] == [
        True, False, False, False,
    ]  # fmt: skip


DEEDS = st.one_of(
    st.tuples(st.just("handle"), st.integers(1, 4), st.sampled_from([A, B])),
    st.tuples(st.sampled_from(["approve", "refuse"]), st.integers(0, 9), st.just("")),
    st.tuples(st.just("time"), st.integers(1, 80), st.just("")),
)


@given(st.lists(DEEDS, max_size=40), st.sampled_from(["", "api"]))
def test_any_course_of_things(deeds: list[tuple[str, int, str]], subject: str) -> None:
    """Four messages whose handlers come to an approval of this or that, people who say something of what they were
    shown, be it long ago, and time. An approval is ruled on once, and who is told that it is approved has what somebody
    saw and approved."""
    known: dict[int, Asked] = {}
    rulings: dict[int, Ruling] = {}
    shown: list[Asked] = []
    approved: set[tuple[int, str]] = set()
    ended: set[str] = set()
    now = 0.0

    def end(row: int, ruling: Ruling) -> None:
        assert known[row].key not in ended, "one approval, one ruling"
        ended.add(known[row].key)
        rulings[row] = ruling

    for what, which, digest in deeds:
        now += 0.125
        if what == "time":
            now += which
        elif what == "handle":
            step = course(digest, known.get(which), rulings.get(which), now)
            if step is Course.EXPIRE:
                end(which, Expired(known[which].due))
            elif step in (Course.BEGIN, Course.ANEW):
                rulings.pop(which, None)
                new = asked(which, digest, subject=subject, since=now)
                earlier, at_once = asked_for(new, [each for at, each in known.items() if at not in rulings], now)
                known[which] = new
                shown.append(new)
                for each in earlier:
                    end(int(each.message[5:]), Superseded(now, new.message))
                if at_once is not None:
                    end(which, at_once)
            elif step is Course.WAIT:
                assert known[which].digest == digest
            if isinstance(rulings.get(which), Approved):
                assert (which, digest) in approved
        elif shown:
            seen = shown[which % len(shown)]
            verdict = Approved("ada", now) if what == "approve" else Refused("ada", now)
            try:
                found = meant(DESK, seen.key, [each for at, each in known.items() if at not in rulings], verdict)
            except ValueError:
                assert seen.key in ended or seen not in known.values()
                continue
            assert found is seen
            if too_late(found, None, now) is None:
                row = int(found.message[5:])
                end(row, verdict)
                if what == "approve":
                    approved.add((row, found.digest))
    if subject:
        waiting = [row for row in known if row not in rulings]
        assert len(waiting) <= 1, "of one subject one waits"
        assert not waiting or all(row <= waiting[0] or row in rulings for row in known), "the latest"
