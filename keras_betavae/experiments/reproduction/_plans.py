"""What the sweeps of all experiments have in common."""

SMOKE = {"grid": (3, 3, 4, 6, 6), "batch_size": 32, "n_images": 400}
"""Settings of a run that only shows that it works."""


def seeds(n: int) -> dict[str, dict[str, int]]:
    """Returns an axis of the first n seeds."""
    return {str(seed): {"seed": seed} for seed in range(n)}
