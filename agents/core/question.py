"""Questions of a handler to a person: what is asked, in which form, and which answers fit. What waits for the answer is
an approval: what is answered is what was shown, and of several who answer one is heard."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from .said import check_text, is_number, listed, shown
from .values import frozen

__all__ = ["QUESTION", "Question", "answer_to", "asked_of", "question_of", "said_of"]

QUESTION: Final = "question"
"""The kind of what is shown: no value of a user's is stored under it."""
_LONGEST: Final = 200
_LARGE: Final = 2**63


@frozen
class Question:
    """What a person is asked."""

    prompt: str
    choices: tuple[str, ...] = ()
    """One of these is the answer; without any it is free."""
    returns: str = "str"
    """Of what type it is: `str`, `int`, `float`."""


def question_of(prompt: object, choices: object, returns: object) -> Question:
    """The question that a handler asks. Raises `ValueError` naming what is wrong, its value and the remedy."""
    check_text("prompt", prompt)
    asks = cast("str", prompt)
    if not asks.strip():
        raise ValueError(f"prompt is {shown(asks)}; say what a person is asked, as 'Which supplier?'")
    form = returns.__name__ if isinstance(returns, type) else ""
    if form not in _FORMS or returns is not _FORMS[form][0]:
        raise ValueError(f"returns is {shown(returns)}; a person answers with str, int or float")
    if not isinstance(choices, (list, tuple)):
        raise ValueError(f"choices is {shown(choices)}; give a tuple of texts, as ('yes', 'later')")
    texts: list[str] = []
    for place, each in enumerate(cast("list[object] | tuple[object, ...]", choices)):
        texts.append(_choice(f"choices[{place}]", each))
        if each in texts[:-1]:
            raise ValueError(f"choices[{place}] is {shown(each)} once more; give each once")
    if texts and form != "str":
        raise ValueError(f"returns is {form}, and there are choices, which are texts; leave one of both out")
    return Question(asks, tuple(texts), form)


def _choice(name: str, value: object) -> str:
    text = value if isinstance(value, str) else ""
    if not text or len(text) > _LONGEST or text != text.strip() or not text.isprintable():
        raise ValueError(f"{name} is {shown(value)}; give a text of one line, of at most {_LONGEST} characters")
    return text


def asked_of(question: Question) -> dict[str, Any]:
    """It as data, as a person is shown it."""
    return {"prompt": question.prompt, "choices": list(question.choices), "returns": question.returns}


def said_of(about: Mapping[str, Any]) -> str:
    """What `asked_of` says, in a line: the question, and what fits as its answer."""
    choices: list[str] = about["choices"]
    return f"{about['prompt']}  {' | '.join(choices) if choices else _FORMS[about['returns']][1]}"


def answer_to(about: Mapping[str, Any], value: object) -> str | int | float:
    """The answer that `value` is to what `asked_of` says. A number may be given as text, as a form or a shell has it.

    Raises `ValueError` naming the value and the remedy for what is no answer to this.
    """
    choices: list[str] = about["choices"]
    if not choices:
        _, what, read = _FORMS[about["returns"]]
        try:
            return read(value)
        except (TypeError, ValueError, OverflowError):
            raise ValueError(f"the answer is {shown(value)}; give {what}") from None
    if isinstance(value, str) and value in choices:
        return value
    near = difflib.get_close_matches(value, choices, n=1) if isinstance(value, str) else []
    meant = f"; did you mean {near[0]!r}? They" if near else "; they"
    raise ValueError(f"the answer {shown(value)} is none of the choices{meant} are {listed(choices)}")


def _text(value: object) -> str:
    check_text("the answer", value)
    text = cast("str", value)
    if not text.strip():
        raise ValueError("nothing is said")
    return text


def _whole(value: object) -> int:
    number = int(value) if isinstance(value, str) else value
    if not isinstance(number, int) or isinstance(number, bool) or not -_LARGE <= number < _LARGE:
        raise ValueError("it is none that can be stored")
    return number


def _number(value: object) -> float:
    number = float(value) if isinstance(value, str) else value
    if not is_number(number) or math.isinf(number):
        raise ValueError("it is none")
    return float(number)


_FORMS: Final[Mapping[str, tuple[type[Any], str, Callable[[object], str | int | float]]]] = {
    "str": (str, "a text of 1 to 4,000 characters", _text),
    "int": (int, "a whole number of at most 64 bits", _whole),
    "float": (float, "a finite number", _number),
}
