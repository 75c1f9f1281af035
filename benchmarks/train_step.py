"""Compares training, encoding and decoding with plain Keras and PyTorch, in one run.

    pip install -e '.[benchmark]'
    python benchmarks/train_step.py --network conv --batch 64 --channels 1 --mode train

Each option takes several values, and all their combinations are run. Every system trains the same
recipe (β-VAE, β 4, ten latents, Bernoulli pixels, Adam at 1e-4, float32) on the same 8,192
sprites, in a process of its own (`benchmarks/systems.py`), and they take turns: a few steps of
one, then of the next, round after round. Figures are medians over the rounds; "speed-up" is our
speed divided by that of the system.

A training step draws a batch, scales it, and runs the forward pass, the backward pass and the
optimizer. Encoding also draws the sprites, stored at one bit per pixel, and unpacks them
(`encode_with`); the other systems get images ready in memory. "GFLOP/s" counts two operations for
each multiplication in the layers and their gradients, and nothing else; "of peak" compares it with
a matrix product of 2,048 × 2,048 in TensorFlow, timed in the same rounds. `--avx2` restricts all
libraries to the instructions of processors without AVX-512; TensorFlow leaves oneDNN off there by
default, so Keras runs without it. Memory is the process's peak, including its imports (Linux only).
"""

import argparse
import itertools
import math
import os
import statistics
import subprocess
import sys
from pathlib import Path

WORKER = Path(__file__).with_name("systems.py")
NAMES = {
    "ours": "keras_betavae",
    "generator": "keras_betavae, fed by from_generator",
    "keras": "Keras",
    "torch": "PyTorch",
    "torch_fused": "PyTorch, fused Adam",
    "peak": "matrix product",
}


AVX2 = {
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "ATEN_CPU_CAPABILITY": "avx2",
    "XLA_FLAGS": "--xla_cpu_max_isa=AVX2",
}


def arguments() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description="Times us beside plain Keras and PyTorch.")
    parser.add_argument("--network", nargs="+", default=["dense", "conv"])
    parser.add_argument("--batch", nargs="+", type=int, default=[64, 256])
    parser.add_argument("--channels", nargs="+", type=int, default=[1])
    parser.add_argument("--mode", nargs="+", default=["train", "encode", "decode"])
    parser.add_argument("--systems", nargs="+", default=["ours", "keras", "torch", "torch_fused"])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.5, help="of one turn, about")
    parser.add_argument("--avx2", action="store_true", help="without AVX-512")
    return parser.parse_args()


def started(system: str, case: tuple, avx2: bool) -> subprocess.Popen:
    """Returns a process that waits for its first turn."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **(AVX2 if avx2 else {})}
    if avx2 and system == "keras":
        environment["TF_ENABLE_ONEDNN_OPTS"] = "0"
    process = subprocess.Popen(
        [sys.executable, WORKER, system, *map(str, case)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    )
    if process.stdout.readline().strip() != "ready":
        raise SystemExit(f"{NAMES[system]} did not start; run {WORKER.name} to see why")
    return process


def turn(process: subprocess.Popen, n: int) -> float:
    """Returns the seconds of one step, the mean over n."""
    print(n, file=process.stdin, flush=True)
    return float(process.stdout.readline()) / n


def compare(case: tuple, options: argparse.Namespace) -> None:
    """Prints one table."""
    network, batch, channels, mode = case
    flops = int(
        subprocess.check_output(
            [sys.executable, WORKER, "flops", *map(str, case)], stderr=subprocess.DEVNULL
        )
    )
    systems = [*options.systems, "peak"]
    processes = {system: started(system, case, options.avx2) for system in systems}
    steps = {s: max(1, round(options.seconds / turn(p, 3))) for s, p in processes.items()}
    times: dict[str, list[float]] = {system: [] for system in systems}
    for _ in range(options.rounds):
        for system, process in processes.items():
            times[system].append(turn(process, steps[system]))
    memory = {s: float(p.communicate()[0]) for s, p in processes.items()}
    medians = {system: statistics.median(values) for system, values in times.items()}
    peak = 2 * 2_048**3 / medians.pop("peak") / 1e9
    limit = ", AVX2" if options.avx2 else ""
    title = f"{mode}, {network}, batch {batch}, 64×64×{channels}{limit}"
    print(f"\n{title}; peak {peak:.0f} GFLOP/s\n")
    print("| system | images/s | spread | speed-up | GFLOP/s | of peak | MiB |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for system, median in medians.items():
        spread = (max(times[system]) - min(times[system])) / median
        rate = batch * flops / median / 1e9
        ratio = median / medians[systems[0]] if len(medians) > 1 else math.nan
        print(
            f"| {NAMES[system]} | {batch / median:,.0f} | {spread:.0%} | {ratio:.2f} | {rate:.0f} "
            f"| {rate / peak:.0%} | {memory[system]:,.0f} |",
            flush=True,
        )


def main() -> None:
    """Runs all combinations."""
    options = arguments()
    cases = itertools.product(options.network, options.batch, options.channels, options.mode)
    for case in cases:
        compare(case, options)


if __name__ == "__main__":
    main()
