"""How long the command line takes to answer what needs no TensorFlow.

    python benchmarks/startup.py

Each command runs in a process of its own; the best of 3 is shown, and its processor time.
"""

import os
import subprocess
import sys
import time

COMMANDS = (
    "--help",
    "train --help",
    "scores",
    "datasets list",
    "datasets info dsprites",
    "doctor",
    "fly",
    "train --out run --steps many",
    "train --out run --preset nothing",
    "train --out run --steps 0",
)
REPEATS = 3


def seconds(command: str) -> tuple[float, float, int]:
    """Returns the seconds, the processor seconds and the exit status of a command."""
    start, before = time.perf_counter(), os.times()
    done = subprocess.run(
        [sys.executable, "-m", "keras_betavae", *command.split()], capture_output=True
    )
    after = os.times()
    used = sum(after[2:4]) - sum(before[2:4])
    return time.perf_counter() - start, used, done.returncode


def main() -> None:
    """Prints a line for each command."""
    print(f"{'command':<36} {'seconds':>8} {'CPU':>6}  exit status")
    for command in COMMANDS:
        best = min(seconds(command) for _ in range(REPEATS))
        print(f"{command:<36} {best[0]:8.2f} {best[1]:6.2f}  {best[2]}")


if __name__ == "__main__":
    main()
