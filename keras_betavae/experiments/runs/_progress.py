"""The progress line of a run's training."""

import keras

_SHOWN = {
    "loss": "loss",
    "kl_loss": "kl",
    "active_latents": "active",
    "beta_vae_score": "β-VAE score",
    "mig_score": "MIG",
}
"""The logs in the line, with their labels; `metrics.csv` has all logs."""


class ProgressLine(keras.callbacks.ProgbarLogger):
    """Keras's progress bar with a few of the logs, for each interval of steps.

    Args:
        steps: Steps of the whole training.
        every: Steps of an interval.
    """

    def __init__(self, steps: int, every: int):
        super().__init__()
        self.steps = steps
        self.every = every

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Prints the steps of the interval."""
        if self.verbose:
            first, last = epoch * self.every + 1, min((epoch + 1) * self.every, self.steps)
            print(f"Steps {first:,} to {last:,} of {self.steps:,}")
        self.epochs = 1  # Keras would call an interval an epoch.
        super().on_epoch_begin(epoch, logs)
        if self.progbar is not None:
            self.progbar.target = min(self.every, self.steps - epoch * self.every)
            self.target = self.progbar.target

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Moves the bar."""
        super().on_train_batch_end(batch, _shown(logs))

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Completes the bar with the scores."""
        super().on_epoch_end(epoch, _shown(logs))


def _shown(logs: dict | None) -> dict:
    return {name: (logs or {})[key] for key, name in _SHOWN.items() if key in (logs or {})}
