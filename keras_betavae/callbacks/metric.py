"""A callback that scores a model during training."""

import math
import os
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_betavae.callbacks._summary import SummaryCallback
from keras_betavae.evaluation import Scores, choose, evaluate
from keras_betavae.evaluation.inspection import as_dataset

_WORST = {True: -math.inf, False: math.inf, None: math.nan}


class DisentanglementMetric(SummaryCallback):
    """Scores the codes' disentanglement and adds the scores to `logs`.

    The images are drawn once, and encoded once for all scores. The scores are added to the
    epoch's `logs`, for `ModelCheckpoint(monitor="beta_vae_score")`, `EarlyStopping`, `CSVLogger`
    and `History` (list this callback before those), and written to TensorBoard under
    `disentanglement/`, at the true training step. The first evaluation is before training, as
    a control, for TensorBoard only. Between evaluations, `logs` has the last scores, and before the
    first the worst value (-inf if larger is better, inf if smaller is, NaN if neither), so the
    `patience` of `EarlyStopping` must be larger than `every_n_epochs`. The
    training's random streams are not used: a run has the same weights with and without this
    callback.

    It warns once if the KL is above 1 nat but the codes hold less than 0.1 nats of information
    about the images: the posteriors are then nearly the same for all images.

    Args:
        data: Images with factors; or without, for the scores that need none; or an array for
            `datasets.from_arrays`.
        log_dir: TensorBoard's folder; None writes no summaries.
        scores: As in `evaluate`: `"fast"` (every score that takes about a second or less),
            `"all"`, names, or a dict of your own scores.
        every_n_epochs: Evaluates after every n-th epoch; None for never.
        every_n_steps: Also evaluates after every n-th training step.
        n_images: Images that are drawn and encoded.
        seed: Seed of the draw and of the scores.
        n_jobs: As in `evaluate`: scores that are computed at a time, -1 for all cores.

    Raises:
        ValueError: If a number is below 1, or a score is unknown; at the first epoch, if the model
            logs a term with the name of a score.

    Example:
        >>> from keras_betavae.datasets import load_sprites
        >>> data = load_sprites(orientation=4, pos_x=4, pos_y=4)
        >>> callback = DisentanglementMetric(data, n_images=500)
    """

    folder = "disentanglement"

    def __init__(
        self,
        data: Any,
        log_dir: str | os.PathLike | None = None,
        *,
        scores: Scores = "fast",
        every_n_epochs: int | None = 1,
        every_n_steps: int | None = None,
        n_images: int = 20_000,
        seed: int = 0,
        n_jobs: int | None = None,
    ):
        super().__init__(log_dir, every_n_epochs)
        for name, value in (("every_n_steps", every_n_steps), ("n_images", n_images)):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.data = data = as_dataset(data)
        self.scores = scores if isinstance(scores, str | Mapping) else list(scores)
        choose(self.scores, len(data.factor_names))
        self.every_n_steps = every_n_steps
        self.n_images = n_images
        self.seed = seed
        self.n_jobs = n_jobs
        self._latest: dict[str, float] = {}
        self._worst: dict[str, float] = {}
        self._latest_step = -1
        self._next_step = 0
        self._posteriors: list[tuple[np.ndarray, np.ndarray]] = []
        self._warned = False

    def begin(self, epoch: int) -> None:
        """Evaluates the untrained model, and starts counting steps."""
        self._latest_step = -1
        self._warned = False
        self._evaluate()
        if taken := sorted({metric.name for metric in self.model.metrics} & set(self._latest)):
            raise ValueError(f"the model logs {', '.join(taken)} too; give the score another name")
        # `EarlyStopping` would take the untrained model's score, or NaN, for the best.
        self._latest = dict(self._worst)
        if self.every_n_steps is not None:
            self._next_step = (self.step // self.every_n_steps + 1) * self.every_n_steps

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Evaluates at the end of an interval of `every_n_steps`."""
        # With steps_per_execution above 1, the exact step may be skipped.
        if self.every_n_steps is not None and self.step >= self._next_step:
            self._next_step = (self.step // self.every_n_steps + 1) * self.every_n_steps
            self._evaluate()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Evaluates if an interval of epochs ends; adds the latest scores to `logs`."""
        if self.is_due(epoch):
            self._evaluate()
        if logs is not None:
            logs.update(self._latest)

    def _evaluate(self) -> None:
        if self.step == self._latest_step:
            return  # Due by epochs and by steps.
        self._latest_step = self.step
        self._posteriors.clear()
        table = evaluate(
            self._encode,
            self.data,
            scores=self.scores,
            n=self.n_images,
            seed=self.seed,
            n_jobs=self.n_jobs,
        )
        self._latest = dict(table)
        self._worst = {row.name: _WORST[row.larger_is_better] for row in table.rows}
        self.write({f"disentanglement/{name}": value for name, value in table.items()})
        self._warn_of_constant_posteriors()

    def _encode(self, images: np.ndarray) -> np.ndarray:
        mean, log_var = (np.asarray(each) for each in self.model.encode(images)[:2])
        if not np.isfinite(mean).all():
            raise FloatingPointError(
                f"the codes became NaN or infinite by step {self.step}; try a smaller learning rate"
            )
        self._posteriors.append((mean, log_var))
        return mean

    def _warn_of_constant_posteriors(self) -> None:
        mean, log_var = (np.concatenate(each) for each in zip(*self._posteriors, strict=True))
        kl, information = kl_and_information(mean, log_var)
        if kl > 1.0 and information < 0.1 and not self._warned:
            self._warned = True
            warnings.warn(
                f"the KL is {kl:.1f} nats at step {self.step}, but the latents hold at most "
                f"{information:.2f} nats about the images: the posteriors are nearly the same for "
                "all. See 'The KL is at the capacity' in docs/troubleshooting.md",
                stacklevel=2,
            )


def kl_and_information(mean: np.ndarray, log_var: np.ndarray) -> tuple[float, float]:
    r"""Returns the KL from N(0, I), and a bound on the information about the images.

    .. math::
        I(x; z) \le \sum_j \tfrac12 \left( \log(\operatorname{Var} \mu_j +
        \mathbb{E} \sigma_j^2) - \mathbb{E} \log \sigma_j^2 \right)

    because no density of that variance has more entropy than the normal one. Equal if the means
    are normal, the variances constant and the latents independent.

    Args:
        mean: Means of the posteriors, (n_images, latent_dim).
        log_var: Their log variances, (n_images, latent_dim).

    Returns:
        Nats.
    """
    mean, log_var = mean.astype(np.float64), log_var.astype(np.float64)
    with np.errstate(all="ignore"):  # The posteriors of a training that diverges may overflow.
        var = np.exp(log_var)
        kl = 0.5 * (mean**2 + var - 1.0 - log_var).sum(axis=1).mean()
        bound = np.log(mean.var(axis=0) + var.mean(axis=0)) - log_var.mean(axis=0)
    return float(kl), float(0.5 * bound.sum())
