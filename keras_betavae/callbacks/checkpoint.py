"""A callback that saves complete models, from which training can resume."""

import os
import re
import tempfile
from pathlib import Path

import keras

from keras_betavae._utils.files import left_aside, local_path, moved_into_place
from keras_betavae._utils.replicas import is_chief
from keras_betavae._utils.steps import optimizer_steps, training_step

_NAME = re.compile(r"step-\d{9,}\.keras")


class Checkpoint(keras.callbacks.Callback):
    """Saves the complete model after every epoch, so training can resume.

    Each file is written under a temporary name, flushed to disk and moved into place. So every
    checkpoint in the folder is complete, even if the process is killed, the disk is full or the
    power fails. Only the chief of several workers writes. A loaded model continues exactly like an
    uninterrupted training if each of its random layers has its own `keras.random.SeedGenerator`,
    as Keras's layers do: the state of Keras's global generator is not saved.

    Args:
        folder: Folder of the files, `step-<training step>.keras`.
        keep: Number of latest files to keep.

    Raises:
        ValueError: If `keep` is below 1, or the folder is a URL.

    Example:
        >>> callback = Checkpoint("checkpoints")
        >>> Checkpoint.latest("checkpoints") is None
        True
    """

    def __init__(self, folder: str | os.PathLike, keep: int = 2):
        super().__init__()
        if keep < 1:
            raise ValueError(f"keep must be at least 1, got {keep}")
        self.folder = local_path(folder)
        self.keep = keep

    @staticmethod
    def latest(folder: str | os.PathLike) -> Path | None:
        """Returns the latest checkpoint's file, None if there is none."""
        return next(iter(Checkpoint.newest_first(folder)), None)

    @staticmethod
    def newest_first(folder: str | os.PathLike) -> list[Path]:
        """Returns the checkpoints' files, the latest first."""
        paths = (path for path in Path(folder).glob("step-*.keras") if _NAME.fullmatch(path.name))
        return sorted(paths, key=_step_of, reverse=True)

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Rejects a folder with checkpoints of another, longer training.

        Raises:
            FileExistsError: If the folder holds a checkpoint of a later step.
        """
        latest = self.latest(self.folder)
        if latest is not None and _step_of(latest) > self.step:
            raise FileExistsError(
                f"{latest} is of a later step than {self.step}, at which this training begins; "
                "choose another folder, or continue from that file"
            )

    @property
    def step(self) -> int:
        """The number of training steps done, also if earlier weights were restored."""
        return max(training_step(self.model), optimizer_steps(self.model))

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Saves the model, and deletes all but the latest files."""
        if not is_chief(self.model):
            # Saving reads the running means, which needs all workers.
            with tempfile.TemporaryDirectory() as folder:
                self.model.save(Path(folder) / "step.keras")
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        for left in left_aside(self.folder, "step-*.keras"):
            left.unlink()  # Left by a process that was killed while it saved.
        target = self.folder / f"step-{self.step:09d}.keras"
        with moved_into_place(target) as aside:
            self.model.save(aside)
        for old in self.newest_first(self.folder)[self.keep :]:
            old.unlink()


def _step_of(path: Path) -> int:
    return int(path.stem.split("-")[1])
