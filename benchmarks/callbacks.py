"""Prints what the callbacks of a run cost, compared with an epoch over the whole sprites grid.

    python benchmarks/callbacks.py

Times `STEPS` training steps of each recipe (after a warm-up) and, on the model that they leave,
each callback at its defaults at the end of an epoch: the median of three. An epoch is every image
once.
"""

import statistics
import tempfile
import time

import keras_betavae as kbv
from keras_betavae import callbacks

RECIPES = ("locatello_beta", "burgess_dsprites", "sprites_quick")
STEPS = 200

data = kbv.datasets.load_sprites()


def seconds(function) -> float:
    """Returns how long a call takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def end_of_epoch(callback, vae, history) -> float:
    """Returns how long a callback takes at the end of an epoch."""
    callback.set_model(vae)
    callback.on_train_begin()
    times = []
    for epoch in range(3):
        callback.on_epoch_begin(epoch)
        vae.optimizer.iterations.assign_add(1)  # Or the scores of this step would be kept.
        logs = {name: values[-1] for name, values in history.items()}
        times.append(seconds(lambda epoch=epoch, logs=logs: callback.on_epoch_end(epoch, logs)))
    callback.on_train_end()
    return statistics.median(times)


for recipe in RECIPES:
    preset = kbv.presets.get(recipe)
    vae = kbv.BetaVAE.from_preset(recipe, seed=0)
    batches = data.to_tf_data(preset.batch_size, seed=0, repeat=True, drop_remainder=True)
    vae.fit(batches, steps_per_epoch=20, verbose=0)
    start = time.perf_counter()
    history = vae.fit(batches, steps_per_epoch=STEPS, verbose=0).history
    epoch = (time.perf_counter() - start) / STEPS * len(data) / preset.batch_size
    print(f"\n{recipe}, batch {preset.batch_size}: an epoch takes {epoch:.0f} s (extrapolated)\n")
    print("| callback | seconds an epoch | part |")
    print("| --- | ---: | ---: |")
    total = 0.0
    with tempfile.TemporaryDirectory() as logs:
        for callback in (
            callbacks.DisentanglementMetric(data, logs),
            callbacks.LatentPictures(data, logs),
            callbacks.LatentTraversal(data.images_at(range(3)), logs),
            callbacks.LatentActivity(logs),
            callbacks.LossCurves(logs),
            callbacks.Checkpoint(f"{logs}/checkpoints"),
        ):
            if isinstance(callback, callbacks.Checkpoint):
                vae.optimizer.iterations.assign_add(10)
            taken = end_of_epoch(callback, vae, history)
            total += taken
            print(f"| {type(callback).__name__} | {taken:.2f} | {taken / epoch:.2%} |", flush=True)
    print(f"| all | {total:.2f} | {total / epoch:.2%} |", flush=True)
