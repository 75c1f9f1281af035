"""Times the training step of presets in this checkout and in another one, in one run.

    git worktree add ../before COMMIT
    python benchmarks/against_checkout.py ../before --presets higgins_dsprites sprites_quick

Each checkout trains in a process of its own, and they take turns: a few steps of one, then of the
other, round after round. Figures are medians over the rounds; the ratio is how fast this checkout
is, as the median of the rounds' ratios.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]


def work(preset: str) -> None:
    """Reads a number of steps from each line of the input; answers with the seconds they took."""
    import keras_betavae as kbv

    recipe = kbv.presets.get(preset)
    data = kbv.datasets.load_sprites(3, 6, 40, 8, 8)
    if recipe.input_shape[-1] == 3:
        data = kbv.datasets.with_colors(data)
    vae = kbv.BetaVAE.from_preset(preset, seed=0)
    batches = iter(data.to_tf_data(recipe.batch_size, seed=0, repeat=True))
    vae.make_train_function()

    def run(n: int) -> float:
        start = time.perf_counter()
        for _ in range(n):
            float(vae.train_function(batches)["loss"])
        return time.perf_counter() - start

    run(3)
    print(f"ready {recipe.batch_size}", flush=True)
    for line in sys.stdin:
        print(run(int(line)), flush=True)


def started(preset: str, checkout: Path) -> tuple[subprocess.Popen, int]:
    """Returns a process of a checkout that waits for its first turn, and its batch."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), "TF_CPP_MIN_LOG_LEVEL": "3"}
    process = subprocess.Popen(
        [sys.executable, __file__, str(checkout), "--worker", preset],
        cwd=checkout,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    word, _, batch = process.stdout.readline().partition(" ")
    if word != "ready":
        raise SystemExit(f"{preset} did not start in {checkout}")
    return process, int(batch)


def main() -> None:
    """Prints a row for each preset."""
    parser = argparse.ArgumentParser()
    parser.add_argument("checkout", type=Path)
    presets = ["higgins_dsprites", "higgins_chairs", "sprites_quick"]
    parser.add_argument("--presets", nargs="+", default=presets)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=2.0, help="of one turn, about")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.worker)
        return
    print("| preset | images/s here | there | ratio |\n| --- | ---: | ---: | ---: |")
    for preset in options.presets:
        checkouts = (HERE, options.checkout.resolve())
        both = [started(preset, checkout) for checkout in checkouts]
        n = 1
        seconds: list[list[float]] = []
        for number in range(options.rounds + 1):
            row = []
            for process, _ in both:
                print(n, file=process.stdin, flush=True)
                row.append(float(process.stdout.readline()) / n)
            if number:
                seconds.append(row)
            else:
                n = max(1, round(options.seconds / min(row)))
        for process, _ in both:
            process.communicate()
        batch = both[0][1]
        here, there = (batch / statistics.median(column) for column in zip(*seconds, strict=True))
        ratio = statistics.median(there / here for here, there in seconds)
        print(f"| {preset} | {here:,.0f} | {there:,.0f} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
