"""What may be a topic and who may subscribe, in Python and in TOML, and when a blueprint changes."""

from __future__ import annotations

from pathlib import Path as File

import pytest

from treewarden.agents.core.durability import Overflow
from treewarden.agents.core.path import Path
from treewarden.agents.errors import ConfigurationError
from treewarden.supervisor.core.spec import Intensity, Subscriber
from treewarden.topologies.child import child
from treewarden.topologies.errors import BlueprintError
from treewarden.topologies.open import open_tree
from treewarden.topologies.pool import pool
from treewarden.topologies.toml import loads
from treewarden.topologies.topic import Subscription, subscriber, topic
from treewarden.topologies.tree import tree

from .readers import CLOCK, Price, Reader, got


async def test_only_a_topic_can_be_subscribed_to(autojump_clock: CLOCK) -> None:
    async with open_tree(tree(Reader)) as running:
        with pytest.raises(ConfigurationError, match="it is no topic"):
            running.ref("reader").subscribe(Path("reader"))


def test_what_cannot_be_a_topic_is_refused_at_once() -> None:
    with pytest.raises(BlueprintError) as caught:
        topic(tree(Reader, id="desk"), Subscription(None, "../x", "never"), "../y", "../y", ".", "../!", id="prices")  # type: ignore[arg-type]
    text = str(caught.value)
    for part in (
        "prices.subscribers[0]: 'desk' has no mailbox of its own",
        "prices.subscribers[1].overflow: 'never' is no overflow policy",
        "prices.subscribers[3]: '../y' has subscribed as prices.subscribers[2] too",
        "prices.subscribers[4].path: '.' is the topic itself",
        "prices.subscribers[5].path: '../!' is no path",
    ):
        assert part in text


async def test_a_subscriber_that_the_tree_does_not_have_is_refused(autojump_clock: CLOCK) -> None:
    with pytest.raises(BlueprintError, match="points nowhere"):
        async with open_tree(tree(topic("../nobody", id="prices"))):
            pass


async def test_a_reload_changes_who_is_told(autojump_clock: CLOCK) -> None:
    def spec(*paths: str) -> object:
        return tree(topic(*paths, id="prices"), child(Reader, id="a"), child(Reader, id="b"))

    async with open_tree(spec("../a")) as running:  # type: ignore[arg-type]
        await running.ref("prices").tell(Price(1))
        await running.reload(spec("../b"))  # type: ignore[arg-type]
        await running.ref("prices").tell(Price(2))
        assert await got(running, "a") == (1,)
        assert await got(running, "b") == (2,)


TOML = """
[[children]]
id = "log"
agent = "readers:Reader"

[[children]]
id = "prices"
restarts = { max_restarts = 9, within = 1 }
topic = [
  { id = "a", agent = "readers:Reader", overflow = "wait" },
  { id = "desk", pool = { agent = "readers:Reader", size = 2 } },
  { path = "../log", overflow = "drop_oldest" },
]
"""


def test_toml_gives_the_same_blueprint(tmp_path: File) -> None:
    (tmp_path / "readers.py").write_text("from tests.topologies.readers import Reader\n", "utf-8")
    wait = subscriber(child(Reader, id="a"), overflow=Overflow.WAIT)
    log = subscriber("../log", overflow=Overflow.DROP_OLDEST)
    prices = topic(wait, pool(child(Reader), size=2, id="desk"), log, id="prices", restarts=Intensity(9, 1))
    read = loads(TOML, tmp_path).blueprint
    assert read.children[1].topic == prices.topic  # type: ignore[union-attr]
    assert read.children[1].topic[2] == Subscriber("../log", Overflow.DROP_OLDEST)  # type: ignore[union-attr,index]
    assert [each.id for each in read.children[1].children] == ["a", "desk"]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("topic = 3", "tree.children[0].topic: 3 is no list of subscribers"),
        ("topic = [{ path = '../x', agent = 'a:B' }]", "a subscriber has either a path, or an agent of its own"),
        ("topic = [{ path = '../x', overflow = 'often' }]", "'often' is not an overflow policy"),
        ("topic = [{ path = '../nobody' }]", "points nowhere, there is no nobody"),
        ("topic = []\noverflow = 'wait'", "each of its subscribers has one"),
        ("topic = [{ path = '.' }]", "is the topic itself"),
        ("topic = [7]", "tree.children[0].topic[0]"),
    ],
)
def test_a_bad_topic_in_toml_is_refused(tmp_path: File, written: str, said: str) -> None:
    with pytest.raises(BlueprintError) as caught:
        loads(f"[[children]]\nid = 'prices'\n{written}\n", tmp_path)
    assert said in str(caught.value)
