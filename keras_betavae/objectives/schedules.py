"""Schedules: weights of an objective, or capacities, that change during training.

A schedule is a function of the training step. The model counts the steps and saves their number, so
a schedule continues after the model is loaded or compiled with another optimizer. An objective
takes a schedule wherever it takes a weight, including those of `keras.optimizers.schedules`.
"""

import abc
import math
from typing import TypeAlias

import keras
import tensorflow as tf
from keras.optimizers.schedules import LearningRateSchedule

from keras_betavae._utils.checks import SetOnce, finite, whole


def _part(name: str, value: float) -> float:
    if not 0.0 < value <= 1.0:
        raise ValueError(f"{name} must be above 0 and at most 1, got {value}")
    return float(value)


class _Ramp(SetOnce, LearningRateSchedule):
    """A weight that goes from `start` to `end` in `n_steps`, after `delay`."""

    def __init__(self, start: float, end: float, n_steps: int, *, delay: int = 0):
        self.start = finite("start", start, minimum=0.0)
        self.end = finite("end", end, minimum=0.0)
        self.n_steps = whole("n_steps", n_steps)
        self.delay = whole("delay", delay, minimum=0)

    def __call__(self, step: tf.Tensor | int) -> tf.Tensor:
        """Returns the weight at a training step, a float32 scalar."""
        step = tf.maximum(tf.cast(step, "int64") - self.delay, 0)
        return self.start + (self.end - self.start) * self._progress(step)

    @abc.abstractmethod
    def _progress(self, step: tf.Tensor) -> tf.Tensor:
        """Returns the progress from 0 to 1; `steps` is an int64."""

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        names = ("start", "end", "n_steps", "delay")
        return {name: getattr(self, name) for name in names}


@keras.saving.register_keras_serializable(package="keras_betavae")
class Linear(_Ramp):
    r"""A linear ramp from one weight to another.

    .. math:: w(t) = w_0 + (w_1 - w_0) \min(t / T, 1)

    Args:
        start: w_0, at least 0.
        end: w_1, at least 0.
        n_steps: T, the training steps between the two, at least 1.
        delay: Training steps at w_0 before t begins, at least 0.

    Raises:
        ValueError: If an argument is outside its range or not finite.

    Example:
        >>> float(Linear(0.0, 4.0, n_steps=100)(25))
        1.0
    """

    def _progress(self, step):
        return tf.minimum(tf.cast(step, "float32") / self.n_steps, 1.0)


@keras.saving.register_keras_serializable(package="keras_betavae")
class Cosine(_Ramp):
    r"""Half a cosine from one weight to another.

    .. math:: w(t) = w_0 + (w_1 - w_0) \, \frac{1 - \cos(\pi \min(t / T, 1))}{2}

    Args:
        start: w_0, at least 0.
        end: w_1, at least 0.
        n_steps: T, the training steps between the two, at least 1.
        delay: Training steps at w_0 before t begins, at least 0.

    Raises:
        ValueError: If an argument is outside its range or not finite.

    Example:
        >>> float(Cosine(0.0, 4.0, n_steps=100)(50))
        2.0
    """

    def _progress(self, step):
        done = tf.minimum(tf.cast(step, "float32") / self.n_steps, 1.0)
        return 0.5 * (1.0 - tf.cos(math.pi * done))


@keras.saving.register_keras_serializable(package="keras_betavae")
class Cyclical(_Ramp):
    r"""Several ramps, each from the start (cyclical annealing).

    .. math::
        w(t) = w_0 + (w_1 - w_0) \min\left(\frac{t \bmod T}{R \, T}, 1\right)
        \quad (t < n T), \qquad w(t) = w_1 \quad (t \ge n T)

    Args:
        start: w_0, the weight at the start of each cycle, at least 0.
        end: w_1, the weight at its end, at least 0.
        n_steps: T, the training steps of one cycle, at least 1.
        n_cycles: n, the number of cycles, at least 1.
        ramp: R, the part of a cycle in which the weight moves, above 0 and at most 1.
        delay: Training steps at w_0 before t begins, at least 0.

    Raises:
        ValueError: If an argument is outside its range or not finite.

    References:
        Fu et al., Cyclical Annealing Schedule: A Simple Approach to Mitigating KL
        Vanishing, NAACL 2019.

    Example:
        >>> schedule = Cyclical(0.0, 1.0, n_steps=100)
        >>> [float(schedule(step)) for step in (0, 25, 50, 99, 100, 400)]
        [0.0, 0.5, 1.0, 1.0, 0.0, 1.0]
    """

    def __init__(
        self,
        start: float,
        end: float,
        n_steps: int,
        n_cycles: int = 4,
        ramp: float = 0.5,
        *,
        delay: int = 0,
    ):
        super().__init__(start, end, n_steps, delay=delay)
        self.n_cycles = whole("n_cycles", n_cycles)
        self.ramp = _part("ramp", ramp)

    def _progress(self, step):
        within = tf.cast(step % self.n_steps, "float32") / (self.ramp * self.n_steps)
        return tf.where(step < self.n_steps * self.n_cycles, tf.minimum(within, 1.0), 1.0)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "n_cycles": self.n_cycles, "ramp": self.ramp}


@keras.saving.register_keras_serializable(package="keras_betavae")
class Staircase(_Ramp):
    r"""Stairs of equal height: each is a ramp followed by a plateau.

    .. math::
        w(t) = w_0 + (w_1 - w_0) \, \frac{k + \min\left(\frac{t - k T}{R \, T}, 1\right)}{n},
        \quad k = \lfloor t / T \rfloor < n, \qquad w(t) = w_1 \quad (t \ge n T)

    Args:
        start: w_0, at least 0.
        end: w_1, at least 0.
        n_steps: T, the training steps of one stair, at least 1.
        n_stairs: n, the number of stairs, at least 1.
        ramp: R, the part of a stair in which the weight moves, above 0 and at most 1.
        delay: Training steps at w_0 before t begins, at least 0.

    Raises:
        ValueError: If an argument is outside its range or not finite.

    References:
        Shao et al., ControlVAE, ICML 2020, and DynamicVAE, CVPR 2022 (their capacities).

    Example:
        >>> schedule = Staircase(0.0, 6.0, n_steps=100, n_stairs=3, ramp=0.5)
        >>> [float(schedule(step)) for step in (0, 25, 50, 99, 125, 300)]
        [0.0, 1.0, 2.0, 2.0, 3.0, 6.0]
    """

    def __init__(
        self,
        start: float,
        end: float,
        n_steps: int,
        n_stairs: int,
        ramp: float = 0.5,
        *,
        delay: int = 0,
    ):
        super().__init__(start, end, n_steps, delay=delay)
        self.n_stairs = whole("n_stairs", n_stairs)
        self.ramp = _part("ramp", ramp)

    def _progress(self, step):
        within = tf.cast(step % self.n_steps, "float32") / (self.ramp * self.n_steps)
        climbed = tf.cast(step // self.n_steps, "float32") + tf.minimum(within, 1.0)
        return tf.minimum(climbed / self.n_stairs, 1.0)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "n_stairs": self.n_stairs, "ramp": self.ramp}


Weight: TypeAlias = float | LearningRateSchedule


def checked_weight(name: str, weight: Weight) -> Weight:
    """Returns a weight that is a schedule or a finite number of at least 0.

    Raises:
        ValueError: If it is neither.
    """
    if isinstance(weight, LearningRateSchedule):
        return weight
    return finite(name, weight, minimum=0.0)


def weight_at(weight: Weight, step: tf.Tensor | int) -> float | tf.Tensor:
    """Returns a weight at a training step."""
    return weight(step) if isinstance(weight, LearningRateSchedule) else weight


def scheduled(step: tf.Tensor | int, **weights: Weight) -> dict[str, tf.Tensor]:
    """Returns the values at a step of the weights that are schedules, for the logs."""
    return {name: weight_at(weights[name], step) for name in scheduled_names(**weights)}


def scheduled_names(**weights: Weight) -> tuple[str, ...]:
    """Returns the names of those weights that are schedules."""
    return tuple(n for n, weight in weights.items() if isinstance(weight, LearningRateSchedule))
