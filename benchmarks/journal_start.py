"""A process that opens a journal and settles messages: `journal_start.py FILE COUNT [hold]`.

Prints how many milliseconds passed from the first line of the script until the first of them was on disk. With `hold`
it says `holds` when all are, and goes on owning the file until its input ends.
"""

import time

BEGIN = time.perf_counter()

import sys  # noqa: E402  the clock runs from the first line of the script

import trio  # noqa: E402
from attrs import frozen  # noqa: E402

from treewarden.agents import Agent, Request, handles  # noqa: E402
from treewarden.topologies import open_tree, tree  # noqa: E402


@frozen
class Put(Request[int]):
    text: str


@frozen
class Box:
    count: int = 0
    text: str = ""


class Keeper(Agent[Box]):
    state = Box()

    @handles
    async def put(self, message: Put) -> int:
        self.state = Box(self.state.count + 1, message.text)
        return self.state.count


async def main() -> None:
    async with open_tree(tree(Keeper), journal=sys.argv[1]) as running:
        keeper, left = running.ref("keeper"), iter(range(int(sys.argv[2]) - 1))
        await keeper.ask(Put("x" * 280), within=60)
        print((time.perf_counter() - BEGIN) * 1000, flush=True)

        async def asker() -> None:
            for _ in left:
                await keeper.ask(Put("x" * 280), within=60)

        async with trio.open_nursery() as nursery:
            for _ in range(64):
                nursery.start_soon(asker)
        if sys.argv[3:] == ["hold"]:
            print("holds", flush=True)
            await trio.to_thread.run_sync(sys.stdin.read)


if __name__ == "__main__":
    trio.run(main)
