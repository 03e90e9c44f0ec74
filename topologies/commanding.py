"""One command of another process: carried out and answered, once."""

from __future__ import annotations

from inspect import Parameter, signature
from typing import Any, Final, cast

import trio

from treewarden.agents.agent import is_agent_class
from treewarden.agents.audience import Audience
from treewarden.agents.core.durability import Message
from treewarden.agents.core.lifecycle import SlotState
from treewarden.agents.core.message import Envelope, Happened, Request
from treewarden.agents.core.path import ROOT, Path
from treewarden.agents.core.said import either, plural
from treewarden.agents.errors import ConfigurationError, MailboxFull, NoSuchSlot, TreewardenError
from treewarden.agents.ref import Ref
from treewarden.agents.sending import checked
from treewarden.agents.slot import Slot
from treewarden.agents.traced import Traced, checked_trace
from treewarden.supervisor.calls import ChildView
from treewarden.supervisor.core.challenger import teach_all
from treewarden.supervisor.core.event import Event
from treewarden.supervisor.core.spec import ChildSpec, Spec, Strategy, SupervisorSpec
from treewarden.supervisor.journal.large import LIMIT
from treewarden.supervisor.journal.port import Commit
from treewarden.supervisor.registry import Partitions, Pool
from treewarden.supervisor.settling import SlotStore
from treewarden.supervisor.unhurried import again_and_again

from .answering import Answering
from .core.blueprint import walk
from .effects_said import answered_effect, said_of_effect
from .labelling import labels_of, said_of
from .rulings_said import ruled, verdict_of

__all__ = ["Order"]

_AT_ONCE: Final = 1000
"""Dead letters that one command puts back."""


class Order(Answering):
    """One command on its way to its answer."""

    async def _do(self) -> None:
        command = self._command
        if command.what == "tell":
            await self._tell()
            return
        if command.what == "label":
            await self._label()
            return
        await self._begin()
        match command.what:
            case "ask":
                await self._ask()
                return
            case "signal":
                self._tree.signal(command.path, command.said, lasts=command.fields.get("lasts"))
                done = f"{command.path}: its supervisor has been told of {command.fields['kind']}"
            case "recovered":
                self._tree.recovered(command.path, command.fields["kind"])
                done = f"{command.path}: its supervisor has been told that {command.fields['kind']} is over"
            case "stop" if command.path == ROOT:
                await self._answer(True, "the tree stops")
                self._tree.stop(f"{command.by} asked for it")
                return
            case "stop":
                done = await self._stop()
            case "hold":
                done = await self._hold()
            case "resume":
                done = await self._resume()
            case "run_now":
                tick = command.fields.get("tick", "")
                begins = self._tree.run_now(command.path, tick)
                done = (
                    f"{command.path}: {tick or 'its tick'} {'runs next' if begins else 'waits already, and runs once'}"
                )
            case "answer":
                said = said_of_effect(self._command.fields)
                step = await self._tree.answer(command.path, said, key=command.fields.get("key", ""), by=command.by)
                done = answered_effect(step, said)
            case "rule":
                verdict = verdict_of(command.fields)
                asked = await self._tree.rule(command.path, verdict, key=command.fields.get("key", ""))
                done = ruled(asked, verdict)
            case "replay":
                done = await self._replay()
            case "perform":
                fact = await self._tree.perform(command.path, command.fields["name"], command.by)
                text = f": {fact.text}" if fact.text else ""
                done = f"{command.path}: {fact.action} {fact.outcome.replace('_', ' ')}{text}"
                await self._answer(fact.outcome == "succeeded", done)
                return
            case "calm":
                if self._tree.calm is None:
                    raise ConfigurationError("no chaos was asked for in this tree")
                done = self._tree.calm(command.by)
            case "drain":
                drained = await self._tree.drain(command.path, within=command.within)
                left = sum(drained.left.values())
                done = f"{command.path} is drained"
                done += f"; {left} were left: on disk they wait, others became dead letters" if left else ""
            case "checkpoint":
                kept = await self._tree.checkpoint(command.path, **command.fields)
                done = f"{command.path}: its state is kept as checkpoint {kept.number}"
            case "compact":
                left = await self._tree.compact()
                done = f"{left.count} large values are left, and nobody holds {left.unused} of them"
            case "prune":
                done = str(await self._tree.prune(**command.fields, by=command.by))
            case _:
                back = await self._tree.roll_back(command.path, to=command.fields["to"], by=command.by)
                to = "the state that its class declares" if back is None else f"checkpoint {back.number}"
                done = f"{command.path} is back at {to}"
        await self._answer(True, done)

    async def _replay(self) -> str:
        """Put back one dead letter, or all at and below a path, the oldest first."""
        path, message = self._command.path, self._command.fields.get("message")
        if message is None:
            letters = (await self._tree.dead_letters(str(path), _AT_ONCE))[::-1]
        else:
            letter = await self._common.journal.dead_letter(message)
            if letter is not None and not letter.path.is_within(path):
                raise ConfigurationError(f"{message} was given up at {letter.path}, and not at {path}; name that")
            letters = () if letter is None else (letter,)
        if not letters:
            what = "nothing that was given up waits" if message is None else f"no dead letter has the id {message}"
            raise ConfigurationError(f"{path}: {what}; `treewarden dead-letters FILE.db {path}` shows what there is")
        new: list[str] = []
        deadline = trio.current_time() + self._command.within
        for letter in letters:
            try:
                new.append(await self._tree.replay(letter.id, within=max(0.0, deadline - trio.current_time())))
            except TreewardenError as error:
                before = f"{plural(len(new), 'dead letter')} put back, and then: " if new else ""
                raise ConfigurationError(f"{before}{error}") from error
        if len(new) == 1:
            return f"{letters[0].path}: {letters[0].id} is put back, as {new[0]}"
        more = "; there may be more" if len(new) == _AT_ONCE else ""
        return f"{path}: {plural(len(new), 'dead letter')} put back{more}"

    async def _label(self) -> None:
        """In one transaction with the answer."""
        labels = labels_of(self._command.fields["labels"])
        wall = self._common.clock.wall()
        answer, event = self._answered(True, said_of(labels))
        facts: list[tuple[float, Event]] = [(wall, label) for label in labels]
        await self._common.journal.commit(Commit(answers=(answer,), events=(*facts, (wall, event))))
        self._common.challenger = teach_all(self._common.challenger, labels)

    # -- a message

    async def _tell(self) -> None:
        """In one transaction with its answer, where the mailbox is on disk: it waits there once, and is answered."""
        path, message = self._command.path, self._message()
        found = self._common.registry.find(path)
        chooses = isinstance(found, (Pool, Partitions))
        try:
            slots = [found] if isinstance(found, Slot) else found.choose(message) if chooses else []
        except NoSuchSlot:  # who is only starting is waited for below
            slots = []
        done = f"{path} was told {self._command.fields['kind']}"
        if len(slots) == 1 and slots[0].durable and isinstance(slots[0].store, SlotStore):
            slot, store = slots[0], slots[0].store
            envelope = Envelope(message, id=self._trace)
            checked(slot, message)
            if not await slot.reserve(envelope):
                raise MailboxFull(f"{path}: there is no room in its mailbox, and it drops what is new", path=path)
            answer, event = self._answered(True, done)
            await store.bring_in(
                slot, envelope, lambda row: Commit(accepted=(row,), answers=(answer,), events=((row.at, event),))
            )
            return
        await self._begin()
        await self._address.tell(message, within=self._command.within)
        await self._answer(True, done)

    async def _ask(self) -> None:
        """The answer is the reply as JSON. It counts once, and the same id gets the same reply."""
        path, kind, message = self._command.path, self._command.fields["kind"], self._message()
        if not isinstance(message, Request):
            raise ConfigurationError(f"{path}: {kind} is no Request, and has no reply; send it")
        reply = await self._address.ask(cast("Request[object]", message), within=self._command.within)
        try:
            _, _, body, large = await again_and_again(self._common.codec_for(self._receiver()).encoding(reply))
        except ConfigurationError as error:
            raise ConfigurationError(f"{path} has handled {kind}, but its reply cannot be written: {error}") from error
        if large is not None:
            await again_and_again(large.giving_up())
        if large is not None or len(body) > LIMIT:
            raise ConfigurationError(
                f"{path} has handled {kind}, but its reply has more than {LIMIT:,} characters as JSON, "
                "which is the most that an answer may have: ask for less of it"
            )
        await self._answer(True, f"{path} has replied to {kind}", body)

    @property
    def _trace(self) -> str:
        """In which the message begins, or goes on; empty: one of its own."""
        trace = self._command.fields.get("trace")
        return "" if trace is None else checked_trace(trace)

    @property
    def _address(self) -> Ref | Traced:
        ref, trace = self._tree.ref(self._command.path), self._trace
        return ref.traced(trace) if trace else ref

    def _receiver(self) -> ChildSpec:
        """The agent that gets the message: of a pool its first worker, which is as the others, and so of partitions."""
        path = self._command.path
        spec = self._spec(path)
        while isinstance(spec, SupervisorSpec) and spec.router is not None and spec.children:
            spec = _entry_of(spec)
        if not isinstance(spec, ChildSpec):
            found = self._common.registry.find(path)  # which names those below it
            if isinstance(found, Audience):
                hear = either(str(slot.path) for slot in found.slots) or "an agent"
                raise ConfigurationError(f"{path} is a topic, and only agents publish there; tell {hear}")
            raise ConfigurationError(f"{path} is a supervisor; tell one of those below it")
        return spec

    def _message(self) -> Any:
        """The message that the command describes, of a type that the agent handles. No other class is ever made."""
        path, kind = self._command.path, self._command.fields["kind"]
        spec = self._receiver()
        codec = self._common.codec_for(spec)
        agent = spec.agent if is_agent_class(spec.agent) else self._common.makers[spec.agent]
        known = {codec.kind_of(each): each for each in agent.handlers}
        fitting = [stored for stored, each in known.items() if kind in (stored, each.__qualname__)]
        event = codec.kind_of(Happened)
        if not fitting and kind in (event, Happened.__qualname__) and isinstance(spec.mailbox.durability, Message):
            fitting = [event]
        if len(fitting) != 1:
            names = ", ".join(sorted(known if fitting else {each.__qualname__ for each in known.values()}))
            what = "which of them is meant is not clear" if fitting else f"it does not handle {kind!r}"
            raise ConfigurationError(f"{path}: {what}; it handles {names or 'nothing'}")
        try:
            return codec.read(fitting[0], self._command.fields["data"])
        except ConfigurationError as error:
            raise ConfigurationError(f"{path}: {error}; {_taken(known.get(fitting[0], Happened))}") from error

    # -- a slot

    def _spec(self, path: Path) -> Spec:
        supervisor = self._common.supervisors.get(path.parent)
        child = supervisor.children.get(path.name) if supervisor is not None else None
        if child is None:
            self._common.registry.find(path)  # which says what is near
            raise self._common.nowhere(path)
        return child.spec

    async def _stop(self) -> str:
        path = self._command.path
        self._spec(path)
        supervisor = self._tree.supervisor(path.parent)
        if self._common.supervisors[path.parent].spec.strategy is Strategy.DYNAMIC:
            await supervisor.terminate_dynamic(path.name)
        else:
            await supervisor.terminate_child(path.name)
        return f"{path} is stopped"

    async def _hold(self) -> str:
        """Have a slot wait for a person, and say what it is then."""
        path = self._command.path
        self._spec(path)
        self._tree.hold(path, self._command.by, self._command.fields.get("text", ""))
        after = await self._view(path)  # behind the order, in its queue
        if after is None:
            raise self._common.nowhere(path)
        return f"{path} is {after.note or after.state}"

    async def _resume(self) -> str:
        """Let a slot go on that is held, throttled or stopped, and say what it is then."""
        path = self._command.path
        self._spec(path)
        supervisor = self._tree.supervisor(path.parent)
        before = await self._view(path)
        if before is None:
            raise self._common.nowhere(path)
        if before.state is SlotState.UP and not before.note:
            raise ConfigurationError(f"{path} runs: there is nothing to resume")
        if before.state is SlotState.DOWN:
            await supervisor.restart_child(path.name)
        else:
            self._tree.resume(path, self._command.by)
        after = await self._view(path)  # behind the order, in its queue
        if after is None:
            raise ConfigurationError(f"{path} was started and did not stay: its supervisor has it no more")
        if after.state is not SlotState.UP:
            raise ConfigurationError(f"{path} is {after.state}: {after.note or 'it did not start'}")
        return f"{path} runs again, in life {after.incarnation}"

    async def _view(self, path: Path) -> ChildView | None:
        """What its supervisor says of a child; None where it has none there (any more)."""
        return next((view for view in await self._tree.supervisor(path.parent).children() if view.path == path), None)


def _entry_of(spec: SupervisorSpec) -> Spec:
    """Who gets what is told to a pool or to partitions, as it stands in the first of them: all are of one shape."""
    first = ROOT / spec.children[0].id
    return dict(walk(spec))[first.resolve("." if spec.entry is None else f"./{spec.entry}")]


def _taken(kind: type) -> str:
    """What a message of this class is given as."""
    if not hasattr(kind, "__attrs_attrs__") and not hasattr(kind, "__dataclass_fields__"):
        return f"give a {kind.__name__} as JSON"
    takes = [
        f"{each.name}{'' if each.default is Parameter.empty else ' (may be left out)'}"
        for each in signature(kind).parameters.values()
    ]
    return f"its fields are {', '.join(takes)}" if takes else "it has no fields: give {}"
