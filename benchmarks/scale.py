"""Times training on one and two workers of one core each, and says what more would give.

    python benchmarks/scale.py --network dense conv --steps 40

A worker is a process pinned to a core. It trains a β-VAE (β 4, ten latents, Adam) on 64 × 64
sprites, with `--batch` images for each worker, by `fit` without a strategy ("one process") and
under `MultiWorkerMirroredStrategy`. Two workers talk by loopback. A step's time is the median
over the steps after the first five. "MiB sent" is what a worker sends in the ring all-reduce of
the gradients, 2 (W − 1) / W times their size; the collectives of a step are counted as they are
put into the graph.

The second table is arithmetic, from the first one's step under the strategy alone and the options
`--gigabits` and `--latency`; docs/scaling.md says what it assumes.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import time

WARM_UP = 5
SHAPE = (64, 64, 1)


def arguments() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description="Times one and two workers of one core each.")
    parser.add_argument("--network", nargs="+", default=["dense", "conv"])
    parser.add_argument("--batch", type=int, default=64, help="images for each worker")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--gigabits", type=float, default=10.0, help="of the network, a second")
    parser.add_argument("--latency", type=float, default=30.0, help="of a message, microseconds")
    parser.add_argument("--workers", nargs="+", type=int, default=[2, 8, 64, 512])
    return parser.parse_args()


def expected_seconds(
    step: float,
    n_bytes: int,
    collectives: int,
    drawing: float,
    workers: int,
    bandwidth: float,
    latency: float,
) -> float:
    """Returns the seconds of a step on many workers.

    Args:
        step: Seconds of a step on one.
        n_bytes: Size of the gradients.
        collectives: Their number in a step; a ring passes 2 (W − 1) messages in each.
        drawing: Seconds that one worker's images of a step take to draw.
        workers: W.
        bandwidth: Bytes a second.
        latency: Seconds of a message.
    """
    sending = 2 * (workers - 1) / workers * n_bytes / bandwidth
    waiting = collectives * 2 * (workers - 1) * latency if workers > 1 else 0.0
    # Every worker draws the whole batch, beside the training, and keeps its part.
    return max(step + sending + waiting, workers * drawing)


def run(network: str, batch: int, steps: int, workers: int) -> dict:
    """Trains in as many processes, none under a strategy if `workers` is 0; returns the chief's."""
    sockets = [socket.socket() for _ in range(workers)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    cores = sorted(os.sched_getaffinity(0))
    if workers > len(cores):
        raise SystemExit(f"{workers} workers need as many cores, got {len(cores)}")
    processes = []
    for index in range(max(1, workers)):
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        if workers:
            task = {"type": "worker", "index": index}
            environment["TF_CONFIG"] = json.dumps({"cluster": {"worker": addresses}, "task": task})
        case = json.dumps([network, batch, steps, max(1, workers), cores[index]])
        command = [sys.executable, __file__, "--worker", case]
        processes.append(
            subprocess.Popen(
                command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
        )
    try:
        outputs = [process.communicate() for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, (_, errors) in zip(processes, outputs, strict=True):
        if process.returncode:
            raise SystemExit(errors)
    return json.loads(outputs[0][0].splitlines()[-1])


def work(network: str, batch: int, steps: int, workers: int, core: int) -> dict:
    """Trains on one core; returns the median step, the gradients' size, and so on."""
    os.sched_setaffinity(0, {core})
    import keras_betavae as kbv

    import keras
    import numpy as np
    import tensorflow as tf
    from tensorflow.python.ops import collective_ops

    collectives = traces = 0

    def counted(function):
        def call(*arguments, **options):
            nonlocal collectives
            collectives += 1
            return function(*arguments, **options)

        return call

    for name in ("all_reduce_v2", "all_gather_v2"):
        setattr(collective_ops, name, counted(getattr(collective_ops, name)))
    several = "TF_CONFIG" in os.environ
    strategy = (
        tf.distribute.MultiWorkerMirroredStrategy() if several else tf.distribute.get_strategy()
    )
    data = kbv.datasets.load_sprites(orientation=10)
    images = data.to_tf_data(batch * workers, seed=0, repeat=True, drop_remainder=True)
    with strategy.scope():
        keras.utils.set_random_seed(0)
        vae = kbv.BetaVAE(
            getattr(kbv.networks, f"{network}_encoder")(SHAPE, 10),
            getattr(kbv.networks, f"{network}_decoder")(10, SHAPE),
            objective=kbv.objectives.Beta(4.0),
            seed=0,
        )
        vae.compile(keras.optimizers.Adam(1e-4))
    train_step, before = vae.train_step, collectives

    def traced_step(data):
        nonlocal traces
        traces += 1
        return train_step(data)

    vae.train_step = traced_step
    in_step = 0
    ends = []

    class Clock(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            nonlocal in_step
            ends.append(time.perf_counter())
            if batch == 0:
                in_step = (collectives - before) // traces

    vae.fit(images, steps_per_epoch=WARM_UP + steps, verbose=0, callbacks=[Clock()])
    drawn = time.perf_counter()
    for _ in data.to_tf_data(batch, seed=0, repeat=True, drop_remainder=True).take(50):
        pass
    return {
        "step": float(np.median(np.diff(ends[WARM_UP:]))),
        "drawing": (time.perf_counter() - drawn) / 50,
        "bytes": int(sum(4 * np.prod(w.shape) for w in vae.trainable_weights)),
        "collectives": in_step,
    }


def main() -> None:
    """Prints both tables."""
    if sys.argv[1:2] == ["--worker"]:
        print(json.dumps(work(*json.loads(sys.argv[2]))))
        return
    options = arguments()
    print("| network | | images/s | images/s per worker | step, ms | MiB sent | collectives |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    alone = {}
    for network in options.network:
        for workers, name in ((0, "one process"), (1, "one worker"), (2, "two workers")):
            result = run(network, options.batch, options.steps, workers)
            count = max(1, workers)
            rate = count * options.batch / result["step"]
            sent = 2 * (count - 1) / count * result["bytes"] / 2**20
            print(
                f"| {network} | {name} | {rate:,.0f} | {rate / count:,.0f} "
                f"| {1_000 * result['step']:.0f} | {sent:.1f} "
                f"| {result['collectives'] if workers > 1 else 0} |",
                flush=True,
            )
            alone.setdefault(network, {})[workers] = result
    print(f"\n{options.gigabits:g} Gbit/s, {options.latency:g} µs:\n")
    several = " | ".join(f"{n} workers" for n in options.workers)
    print(f"| network | gradients, MiB | drawn by a core, images/s | {several} |")
    print("| --- | ---: | ---: |" + " ---: |" * len(options.workers))
    for network, results in alone.items():
        step, drawing = results[1]["step"], results[1]["drawing"]
        expected = [
            expected_seconds(
                step,
                results[2]["bytes"],
                results[2]["collectives"],
                drawing,
                workers,
                options.gigabits * 1e9 / 8,
                options.latency * 1e-6,
            )
            for workers in options.workers
        ]
        cells = " | ".join(f"{step / seconds:.0%}" for seconds in expected)
        size, draws = results[2]["bytes"] / 2**20, options.batch / drawing
        print(f"| {network} | {size:.1f} | {draws:,.0f} | {cells} |")


if __name__ == "__main__":
    main()
