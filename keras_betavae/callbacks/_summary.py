"""The base of the callbacks that write to TensorBoard."""

import abc
import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import keras
import tensorflow as tf

from keras_betavae._utils.replicas import is_chief
from keras_betavae._utils.steps import training_step

_EVENTS = "events.out.tfevents.*"


class SummaryCallback(keras.callbacks.Callback):
    """Runs every few epochs and writes summaries to its own folder in `log_dir`.

    All workers compute, because `logs` must be the same on each and a running mean is read by all
    of them together; only the chief writes.
    """

    folder = ""

    def __init__(self, log_dir: str | os.PathLike | None, every_n_epochs: int | None = 1):
        super().__init__()
        if every_n_epochs is not None and every_n_epochs < 1:
            raise ValueError(f"every_n_epochs must be at least 1, got {every_n_epochs}")
        self.log_dir = None if log_dir is None else os.fspath(log_dir)
        self.every_n_epochs = every_n_epochs
        self._writer: tf.summary.SummaryWriter = tf.summary.create_noop_writer()
        self._files: dict[Path, os.stat_result] = {}

    @property
    def step(self) -> int:
        """The number of training steps done."""
        return training_step(self.model)

    _begins = False

    def begin(self, epoch: int) -> None:
        """Is called once, before the first epoch of a training.

        In `on_train_begin`, a later callback such as `BackupAndRestore` may not have restored the
        model yet.
        """

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        if self._begins:
            self._begins = False
            self.begin(epoch)

    def on_train_begin(self, logs: dict | None = None) -> None:
        self._begins = True
        if self.log_dir is None or not is_chief(self.model):
            return
        folder = os.path.join(self.log_dir, self.folder)  # A URL is not a Path.
        before = set(Path(folder).glob(_EVENTS))
        self._writer = tf.summary.create_file_writer(folder)
        self._files = {file: file.stat() for file in set(Path(folder).glob(_EVENTS)) - before}

    def on_train_end(self, logs: dict | None = None) -> None:
        self._writer.close()
        self._writer = tf.summary.create_noop_writer()
        self._files = {}

    def is_due(self, epoch: int) -> bool:
        """Whether an epoch, counted from 0, ends an interval."""
        return self.every_n_epochs is not None and (epoch + 1) % self.every_n_epochs == 0

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """A context in which TensorBoard's summaries get the current training step.

        Raises:
            OSError: If they could not be written, or earlier ones are gone.
        """
        self._check_files()
        try:
            with self._writer.as_default(step=self.step):
                yield
            self._writer.flush()
        except tf.errors.OpError as error:
            reason = error.message.splitlines()[0]
            raise OSError(f"could not write TensorBoard's events: {reason}") from error
        self._check_files()

    def _check_files(self) -> None:
        # TensorFlow does not notice.
        for file, before in self._files.items():
            try:
                now = file.stat()
            except (FileNotFoundError, NotADirectoryError):
                raise FileNotFoundError(
                    f"{file} was deleted while the training wrote to it; its contents are lost"
                ) from None
            if not os.path.samestat(now, before) or now.st_size < before.st_size:
                raise OSError(
                    f"{file} was replaced or truncated while the training wrote to it; what "
                    "was written since is lost"
                )
            self._files[file] = now

    def write(self, summaries: Mapping[str, float]) -> None:
        """Writes scalars at the current training step."""
        with self.writing():
            for name, value in summaries.items():
                tf.summary.scalar(name, value)


class DrawingCallback(SummaryCallback):
    """Draws the model before training, and again at each interval."""

    @abc.abstractmethod
    def draw(self) -> None:
        """Writes the pictures of the current model."""

    def begin(self, epoch: int) -> None:
        """Draws the model before it is trained.

        A training that is resumed within an interval draws no picture where it was interrupted.
        """
        if epoch == 0 or self.is_due(epoch - 1):
            self.draw()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Draws at the end of an interval."""
        if self.is_due(epoch):
            self.draw()
