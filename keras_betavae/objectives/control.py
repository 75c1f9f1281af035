"""Controllers of β that hold the KL at a capacity."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from keras_betavae._utils.checks import finite, whole
from keras_betavae.objectives.base import Cost, Objective, Sample, mean_kl
from keras_betavae.objectives.schedules import Weight, checked_weight, weight_at


class Gains(NamedTuple):
    """The default options of a controller."""

    kp: float
    ki: float
    smoothing: int
    initial_beta: float | None  # None is min_beta.
    min_beta: float
    max_beta: float


_CONTROLLERS = {
    "log": Gains(0.25, 0.005, 10, None, 0.01, 1e4),
    "pi": Gains(0.01, 0.001, 1, 1.0, 1.0, 1e4),
    "incremental": Gains(0.01, 0.005, 5, 50.0, 0.1, 1e4),
}


class ControlledBeta(Objective):
    """β · KL, where β follows from the integral and the last error, which are state.

    The β of a step depends only on earlier batches, so no gradient passes through the controller
    and evaluation does not change it.
    """

    def __init__(self, gains: Gains):
        self.kp = finite("kp", gains.kp, minimum=0.0)
        self.ki = finite("ki", gains.ki, minimum=0.0)
        self.smoothing = whole("smoothing", gains.smoothing)
        self.min_beta = finite("min_beta", gains.min_beta, minimum=0.0)
        self.max_beta = finite("max_beta", gains.max_beta, minimum=self.min_beta)
        initial = self.min_beta if gains.initial_beta is None else gains.initial_beta
        self.initial_beta = finite("initial_beta", initial, minimum=self.min_beta)
        if self.initial_beta > self.max_beta:
            raise ValueError(
                f"initial_beta must be at most max_beta, got {self.initial_beta:g} > "
                f"{self.max_beta:g}"
            )

    def initial_state(self) -> dict[str, float]:
        """Returns the logarithm of `initial_beta`, and an error of 0."""
        return {"integral": math.log(self.initial_beta), "error": 0.0}

    def beta(self, state: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Returns the β of the next step; the integral is its logarithm."""
        return tf.exp(state["integral"])

    def smoothed(self, error: tf.Tensor, state: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Returns the exponential average of the error."""
        last = state["error"]
        return last + (tf.stop_gradient(error) - last) / self.smoothing

    def log_step(self, state: Mapping[str, tf.Tensor], error: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the state after a step of the proportional-integral controller of ln β."""
        change = self.kp * (error - state["error"]) + self.ki * error
        bounds = math.log(self.min_beta), math.log(self.max_beta)
        return {
            "integral": tf.clip_by_value(state["integral"] - change, *bounds),
            "error": error,
        }

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {name: getattr(self, name) for name in Gains._fields}


@keras.saving.register_keras_serializable(package="keras_betavae")
class ControlledCapacity(ControlledBeta):
    r"""Holds the KL at a capacity by controlling β (ControlVAE, DynamicVAE and a variant).

    .. math::
        R = \beta_t \, \mathrm{KL}_t, \qquad
        \mathrm{KL}_t = \mathbb{E}_x \, \mathrm{KL}\left(q(z|x) \,\|\, p(z)\right), \qquad
        e_t = \bar e \left(C(t) - \mathrm{KL}_t\right)

    KL_t is the mean over the (global) batch, and the error :math:`e_t` is an exponential average of
    C − KL over `smoothing` steps. `Capacity` adds the distance of the KL from C to the loss, and
    its gradient changes sign from step to step. Here the loss is that of a β-VAE, and β converges
    to the value at which the KL is C. The controllers, with :math:`s(e) = 1 / (1 + \exp e)`:

    - `"log"` controls ln β, so the same gains work for a β of 0.1 and of 1,000:

      .. math:: \ln \beta_{t+1} = \ln \beta_t - K_p (e_t - e_{t-1}) - K_i e_t

    - `"pi"`, from ControlVAE. I is constant while :math:`\beta_\mathrm{min} + K_p s + I` is beyond
      a bound and :math:`e_t` would move it further:

      .. math::
        \beta_{t+1} = \beta_\mathrm{min} + K_p \, s(e_t) + I_t, \qquad I_t = I_{t-1} - K_i e_t

    - `"incremental"`, from DynamicVAE. Its last term is left out while the sum is beyond a bound
      and the term would move it further; the sum is kept unclipped. (The published code averages
      the last five errors with equal weights. Both codes also leave the term out where it would
      move β back above its lower bound, from which β then may never return.)

      .. math:: \beta_{t+1} = \beta_t + K_p \left[s(e_t) - s(e_{t-1})\right] - K_i e_t

    β is clipped to `min_beta` and `max_beta`. The defaults of the options are:

    ============= ==== ===== ========= ============ ======== ========
    controller    kp   ki    smoothing initial_beta min_beta max_beta
    ============= ==== ===== ========= ============ ======== ========
    `log`         0.25 0.005 10        `min_beta`   0.01     1e4
    `pi`          0.01 0.001 1         1            1        1e4
    `incremental` 0.01 0.005 5         50           0.1      1e4
    ============= ==== ===== ========= ============ ======== ========

    Args:
        capacity: C in nats, at least 0, or a schedule, such as `Linear` or `Staircase`.
        controller: `"log"`, `"pi"` or `"incremental"`.
        kp: K_p, at least 0.
        ki: K_i, at least 0.
        smoothing: Steps of the error's exponential average, at least 1 (no averaging).
        initial_beta: β before the first step, within the bounds. With `"log"` the KL first rises
            above C, and is at C after some hundred steps. A large value keeps it below C, but can
            kill the encoder's ReLUs before the decoder uses the latents.
        min_beta: The smallest β, at least 0; above 0 for `"log"`.
        max_beta: The largest β.

    Raises:
        ValueError: If an argument is outside its range or not finite.

    References:
        Shao et al., ControlVAE: Controllable Variational Autoencoder, ICML 2020. Shao et al.,
        Rethinking Controllable Variational Autoencoders (DynamicVAE), CVPR 2022. Burgess et al.,
        Understanding disentangling in β-VAE, NIPS 2017 workshop (C(t)).

    Example:
        >>> from keras_betavae.objectives import Linear
        >>> objective = ControlledCapacity(Linear(0.5, 25.0, n_steps=100_000))
        >>> {name: round(value, 2) for name, value in objective.initial_state().items()}
        {'integral': -4.61, 'error': 0.0}
    """

    def __init__(
        self,
        capacity: Weight = 25.0,
        controller: str = "log",
        *,
        kp: float | None = None,
        ki: float | None = None,
        smoothing: int | None = None,
        initial_beta: float | None = None,
        min_beta: float | None = None,
        max_beta: float | None = None,
    ):
        if controller not in _CONTROLLERS:
            raise ValueError(
                f"controller must be one of {', '.join(_CONTROLLERS)}, got {controller!r}"
            )
        given: dict[str, Any] = {
            "kp": kp,
            "ki": ki,
            "smoothing": smoothing,
            "initial_beta": initial_beta,
            "min_beta": min_beta,
            "max_beta": max_beta,
        }
        chosen = {name: value for name, value in given.items() if value is not None}
        super().__init__(_CONTROLLERS[controller]._replace(**chosen))
        self.capacity = checked_weight("capacity", capacity)
        self.controller = controller
        if controller == "log" and not self.min_beta:
            raise ValueError("min_beta must be above 0 for the controller of ln β, got 0")

    @property
    def log_names(self) -> tuple[str, ...]:
        """β, C, and the distance of the batch's KL from it."""
        return ("beta", "capacity", "capacity_distance")

    @property
    def charts(self) -> dict[str, tuple[str, ...]]:
        """The KL with C, their distance, and β."""
        return {
            "KL and capacity, nats": ("kl_loss", "capacity"),
            "distance of a batch's KL from the capacity, nats": ("capacity_distance",),
            "β": ("beta",),
        }

    def initial_state(self) -> dict[str, float]:
        """Returns the integral that gives `initial_beta` (its logarithm for `"log"`)."""
        if self.controller == "log":
            return super().initial_state()
        offset = self.min_beta + 0.5 * self.kp if self.controller == "pi" else 0.0
        return {"integral": self.initial_beta - offset, "error": 0.0}

    def beta(self, state: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Returns the β of the next step."""
        if self.controller == "log":
            return super().beta(state)
        unclipped = self._unclipped(state) if self.controller == "pi" else state["integral"]
        return tf.clip_by_value(unclipped, self.min_beta, self.max_beta)

    def _unclipped(self, state: Mapping[str, tf.Tensor]) -> tf.Tensor:
        return self.min_beta + self.kp * tf.sigmoid(-state["error"]) + state["integral"]

    def _next_state(self, state: Mapping[str, tf.Tensor], error: tf.Tensor) -> dict[str, tf.Tensor]:
        if self.controller == "log":
            return self.log_step(state, error)
        integral, last = state["integral"], state["error"]
        if self.controller == "pi":
            beta = self._unclipped(state)
        else:
            beta = integral
            integral += self.kp * (tf.sigmoid(-error) - tf.sigmoid(-last))
        # The published code rests below the bound whatever the error, and can stay there forever.
        is_beyond = ((beta < self.min_beta) & (error > 0)) | ((beta > self.max_beta) & (error < 0))
        return {
            "integral": integral - tf.where(is_beyond, 0.0, self.ki * error),
            "error": error,
        }

    def __call__(self, sample: Sample, state: Mapping[str, tf.Tensor]) -> Cost:
        """Returns β · KL, batch mean, in nats."""
        kl = mean_kl(sample.posterior, sample.prior)
        capacity = tf.cast(weight_at(self.capacity, sample.step), "float32")
        beta = self.beta(state)
        logs = {"beta": beta, "capacity": capacity, "capacity_distance": tf.abs(capacity - kl)}
        error = self.smoothed(capacity - kl, state)
        return Cost(beta * kl, logs, self._next_state(state, error))

    def advice(self, logs: Mapping[str, float], first_step: int, last_step: int) -> str | None:
        """Warns if the KL was more than 1 nat from C on average while β was at a bound.

        The lower bound is where the default β starts, so it counts from the second epoch.
        """
        error = logs["capacity"] - logs["kl_loss"]
        lowest = first_step > 0 and logs["beta"] <= 1.01 * self.min_beta and error > 0
        highest = logs["beta"] >= 0.99 * self.max_beta and error < 0
        if logs["capacity_distance"] <= 1.0 or not (lowest or highest):
            return None
        bound = "min_beta" if lowest else "max_beta"
        return (
            f"by step {last_step} the KL is {logs['capacity_distance']:.1f} nats from the capacity "
            f"on average (KL {logs['kl_loss']:.1f}, C {logs['capacity']:.1f}), and β is at its "
            f"bound of {getattr(self, bound):g}: change {bound} or the capacity"
        )

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        own = keras.saving.serialize_keras_object({"capacity": self.capacity})
        return {**own, "controller": self.controller, **super().get_config()}
