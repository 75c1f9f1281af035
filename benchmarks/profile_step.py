"""Prints what the operations of our training step take, by TensorFlow's profiler.

    python benchmarks/profile_step.py [NETWORK] [BATCH] [CHANNELS]

Milliseconds of a step, the mean over `STEPS`; operations that run side by side count twice.
"""

import collections
import glob
import re
import sys
import tempfile

import systems

STEPS = 20
OVERHEAD = re.compile(r"Eager|TFE|Executor|Kernel|multi_step|BlockUntil|CpuExecutable|FunctionRun")


def main(network: str = "conv", batch: str = "256", channels: str = "1") -> None:
    """Profiles the step of `systems.ours`."""
    run = systems.ours(network, int(batch), int(channels), "train")
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    run(5)
    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            run(STEPS)
        (path,) = glob.glob(f"{folder}/**/*.xplane.pb", recursive=True)
        space = xplane_pb2.XSpace()
        with open(path, "rb") as file:
            space.ParseFromString(file.read())
    times: collections.Counter = collections.Counter()
    for plane in space.planes:
        if "CPU" in plane.name:
            for line in plane.lines:
                for event in line.events:
                    name = plane.event_metadata[event.metadata_id].name
                    times[name] += event.duration_ps / 1e9 / STEPS
    print(f"{times['multi_step_on_iterator']:8.2f} the step")
    for name, milliseconds in times.most_common(60):
        if not OVERHEAD.search(name) and milliseconds > 0.01 * times["multi_step_on_iterator"]:
            name = name.replace("StatefulPartitionedCall/", "").replace("gradient_tape", "gradient")
            print(f"{milliseconds:8.2f} {name}")


if __name__ == "__main__":
    main(*sys.argv[1:])
