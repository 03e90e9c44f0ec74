"""A place's worker: does one stage after the other, each a line on standard input, and says when it is done.

It stands alone, so that it starts in a moment: `python -I -S colony_worker.py PLACE FOLDER`. What it has begun and done
is a line each in the folder's `work.log`; `place-N` there holds the number of its process. It ends when its standard
input does, also in the middle of a stage, or when nobody reads what it says: it does not outlive its controller.
"""

import os
import select
import sys
import time


def main() -> None:
    place, folder = sys.argv[1], sys.argv[2]
    pid = os.getpid()
    mark = os.path.join(folder, f"place-{place}")
    with open(f"{mark}.new", "w", encoding="ascii") as file:
        file.write(str(pid))
    os.replace(f"{mark}.new", mark)
    log = os.open(os.path.join(folder, "work.log"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(1, b"ready\n")

    def note(word: str, what: str) -> None:
        os.write(log, f"{time.monotonic():.6f} {word} {place} {pid} {what}\n".encode("ascii"))

    with open(0, "rb", buffering=0) as orders:  # nothing is read ahead, so that select sees the end
        for line in iter(orders.readline, b""):
            job, stage, seconds = line.decode("ascii").split()
            note("begun", f"{job} {stage}")
            if select.select([0], [], [], float(seconds))[0]:
                break
            note("done", f"{job} {stage}")
            os.write(1, b"done\n")


try:
    main()
except BrokenPipeError:
    sys.exit()  # whoever it worked for has gone
