"""Committed events on their way from the journal to whoever looks at the run."""

from __future__ import annotations

from collections.abc import Sequence

import trio
from attrs import define, field

from treewarden.agents.errors import JournalError
from treewarden.supervisor.journal.port import START, Record, Seq
from treewarden.supervisor.ops.console import Opening, RunView
from treewarden.supervisor.ops.output import Output
from treewarden.supervisor.ops.status_rows import LiveSlot
from treewarden.supervisor.views.summary import Summary, fold

from ..running import Tree

__all__ = ["Report"]

_BATCH = 500
_CLOSING = 5.0
"""Seconds between the end of a journal and the event that ends what is told, at most."""


@define(eq=False)
class Report:
    """What has been told so far. Telling waits for the reader; the journal waits for neither."""

    view: RunView
    output: Output
    read: Seq = START
    """The last event that was read from the journal; all up to it are told, or about to be."""
    summary: Summary = field(factory=Summary)
    begun: trio.Event = field(factory=trio.Event)
    _waiting: list[str] = field(factory=list[str])

    async def open(self, opening: Opening, slots: Sequence[LiveSlot]) -> None:
        """The first words. What was to be noticed before comes after them."""
        self.begun.set()
        text = self.view.opened(opening, slots) + "".join(map(self.view.notice, self._waiting))
        await self.output.write(text)

    async def tell(self, records: Sequence[Record]) -> None:
        """Show these events, which follow those before."""
        if records:
            self.summary = fold(self.summary, records)
            await self.output.write(self.view.told(records))

    async def notice(self, text: str) -> None:
        if self.begun.is_set():
            await self.output.write(self.view.notice(text))
        else:
            self._waiting.append(text)

    async def follow(self, tree: Tree, until: trio.Event) -> None:
        """Tell what the tree commits until the event; what was read by then is told. A journal that cannot be read any
        more is no reason for a tree to end: a notice says so."""
        send, receive = trio.open_memory_channel[Record](_BATCH)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read, tree, send, until)
            async with receive:
                async for record in receive:
                    batch = [record]
                    while len(batch) < _BATCH:
                        try:
                            batch.append(receive.receive_nowait())
                        except (trio.WouldBlock, trio.EndOfChannel):
                            break
                    await self.tell(batch)

    async def _read(self, tree: Tree, send: trio.MemorySendChannel[Record], until: trio.Event) -> None:
        async with send, trio.open_nursery() as nursery:

            async def end() -> None:
                await until.wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(end)
            try:
                async with tree.events(self.read) as records:
                    async for record in records:
                        await send.send(record)
                        self.read = record.seq
            except JournalError as error:
                with trio.move_on_after(_CLOSING):  # closed with its tree: what is left is read from the file
                    await until.wait()
                if not until.is_set():
                    await self.notice(f"events are not told any more: {error}")
