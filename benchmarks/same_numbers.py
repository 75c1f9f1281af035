"""Prints the losses and scores of every preset after a few steps, or compares them with a file.

    python benchmarks/same_numbers.py --out before.json
    python benchmarks/same_numbers.py --against before.json

Each preset trains for `--steps` steps from seed 0 on a small grid of sprites, on one thread, and
2,000 images are scored. A change that must not change numbers is run before and after: the second
command prints the largest relative difference of each preset and fails if one is above 1e-5.
"""

import argparse
import json
import math
import os
from pathlib import Path

for threads in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
    os.environ[threads] = "1"

import keras_betavae as kbv

import keras

SCORES = ("mig_score", "factor_vae_score", "sap_score", "modularity_score", "irs_score")


def numbers(preset: str, steps: int) -> dict[str, float]:
    """Returns a preset's losses by step and by name, and its scores."""
    recipe = kbv.presets.get(preset)
    data = kbv.datasets.load_sprites(3, 3, 8, 8, 8)
    if recipe.input_shape[-1] == 3:
        data = kbv.datasets.with_colors(data)
    keras.utils.set_random_seed(0)
    vae = kbv.BetaVAE.from_preset(preset, seed=0)
    found = {}
    for step in range(steps):
        batches = data.to_tf_data(recipe.batch_size, seed=0, repeat=True, start_step=step)
        logs = vae.fit(batches, steps_per_epoch=1, verbose=0).history
        found |= {f"{name} {step}": values[-1] for name, values in logs.items()}
    logs = vae.evaluate(data.to_tf_data(64, shuffle=False).take(4), verbose=0, return_dict=True)
    found |= {f"evaluate {name}": value for name, value in logs.items()}
    factors, codes = data.encode_with(vae, 2_000, seed=0)
    found |= {name: getattr(kbv.metrics, name)(factors, codes) for name in SCORES}
    return {name: float(value) for name, value in found.items()}


def difference(before: dict[str, float], after: dict[str, float]) -> tuple[float, str]:
    """Returns the largest relative difference, and what it is of."""
    return max(
        (_distance(value, after.get(name, math.nan)), name) for name, value in before.items()
    )


def _distance(before: float, after: float) -> float:
    if math.isnan(before) or math.isnan(after):
        return 0.0 if math.isnan(before) and math.isnan(after) else math.inf
    return abs(after - before) / max(abs(before), 1e-3)


def main() -> None:
    """Prints, and writes or compares."""
    parser = argparse.ArgumentParser()
    parser.add_argument("presets", nargs="*", default=kbv.presets.names())
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--against", type=Path)
    options = parser.parse_args()
    before = json.loads(options.against.read_text()) if options.against else {}
    found, worst = {}, 0.0
    for preset in options.presets:
        found[preset] = numbers(preset, options.steps)
        if preset in before:
            distance, name = difference(before[preset], found[preset])
            worst = max(worst, distance)
            print(f"{preset}: {distance:.1e} ({name})", flush=True)
        if options.out:
            options.out.write_text(json.dumps(found, indent=1))
    if worst > 1e-5:
        raise SystemExit(f"the numbers differ by {worst:.1e}")


if __name__ == "__main__":
    main()
