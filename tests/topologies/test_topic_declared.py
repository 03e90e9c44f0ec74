"""What may be a topic and who may subscribe, in Python and in TOML, and when a blueprint changes."""

from __future__ import annotations

from pathlib import Path as File

import pytest
import trio

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import Overflow
from treewarden.agents.core.path import Path
from treewarden.agents.errors import ConfigurationError, DeliveryError, NoSuchSlot
from treewarden.supervisor.core.spec import Backoff, Intensity, Subscriber
from treewarden.topologies.child import child
from treewarden.topologies.errors import BlueprintError
from treewarden.topologies.open import open_tree
from treewarden.topologies.pool import pool
from treewarden.topologies.toml import loads
from treewarden.topologies.topic import Subscription, subscriber, topic
from treewarden.topologies.tree import tree

from .readers import CLOCK, Price, Publish, Reader, got


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


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("desk/raeder", "the tree has no such slot; did you mean desk/reader"),
        ("desk", "desk is a supervisor, which takes no messages"),
        ("/", "/ is a supervisor, which takes no messages"),
    ],
)
async def test_nobody_subscribes_who_is_not_there(path: str, why: str, autojump_clock: CLOCK) -> None:
    async with open_tree(tree(topic(id="prices"), tree(Reader, id="desk"))) as running:
        with pytest.raises(NoSuchSlot, match=why):
            running.ref("prices").subscribe(path)
        with pytest.raises(ConfigurationError, match="prices: it is the topic itself; name somebody else"):
            running.ref("prices").subscribe(running.ref("prices"))


class Hasty(Agent[None]):
    """Subscribes somebody who begins when it has begun, and publishes before that."""

    async def on_start(self) -> None:
        self.ref("prices").subscribe("late/reader")
        self.ref("prices").subscribe("readers")
        with pytest.raises(DeliveryError, match="it has not begun yet, and prices would leave it out"):
            await self.ref("prices").tell(Price(1))


async def test_who_is_to_begin_yet_stays_subscribed(autojump_clock: CLOCK) -> None:
    shape = tree(topic(id="prices"), Hasty, tree(Reader, id="late"), pool(Reader, size=1, id="readers"))
    async with open_tree(shape) as running:
        await running.ref("prices").tell(Price(2))
        assert await got(running, "late/reader") == (2,)
        assert await got(running, "readers") == (2,)


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


class Tardy(Reader):
    """Takes a second to begin, and those behind it wait for that."""

    async def on_start(self) -> None:
        await trio.sleep(1)


class Early(Agent[int]):
    """Publishes before the others have begun, and once more where that fails."""

    state = 0

    def __init__(self, log: list[str]) -> None:
        self.log = log

    async def on_start(self) -> None:
        if not self.log:
            await self.ref(".").tell(Publish(7))

    @handles
    async def publish(self, message: Publish) -> None:
        await trio.sleep(0.5)  # by then the topic has begun
        self.log.append("published")
        try:
            await self.ref("../prices").tell(Price(message.first))
        except DeliveryError as error:
            self.log.append(str(error))
            raise


async def test_those_who_have_not_begun_yet_are_not_left_out_unsaid(autojump_clock: CLOCK) -> None:
    """A handler that ran while its tree began published to whoever was there, and the others never heard of it."""
    log: list[str] = []
    prices = topic(
        child(Tardy, id="tardy"), pool(Reader, size=1, id="club"), "../yard", "../far/pond", "../far/deep", id="prices"
    )
    far = tree(child(Reader, id="deep"), pool(Reader, size=1, id="pond"), id="far")
    early = child(Early, args={"log": log}, backoff=Backoff(first=5.0))
    async with open_tree(tree(early, prices, child(Reader, id="yard"), far)) as running:
        await trio.sleep(60)
        assert [len(log), log[0], log[2]] == [3, "published", "published"]
        for who in ("prices/club", "far/pond", "far/deep"):
            assert f"{who}: it has not begun yet, and prices would leave it out" in log[1]
        for who in ("prices/tardy", "prices/club/0", "yard", "far/pond/0", "far/deep"):
            assert await got(running, who) == (7,)


async def test_whoever_has_ended_is_left_out(autojump_clock: CLOCK) -> None:
    prices = topic(pool(Reader, size=1, id="club"), "../far/deep", "../yard", id="prices")
    far = tree(child(Reader, id="deep"), id="far")
    async with open_tree(tree(prices, child(Reader, id="yard"), far)) as running:
        await running.supervisor().terminate_child("far")
        await running.supervisor().delete_child("far")
        await running.supervisor("prices").terminate_child("club")
        await running.supervisor("prices").delete_child("club")
        await running.ref("prices").tell(Price(7))
        assert await got(running, "yard") == (7,)
