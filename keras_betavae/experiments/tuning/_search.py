"""The search: the settings in `tune.json`, and the trials."""

import dataclasses
import math
import statistics
import time
import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from keras_betavae import metrics, presets
from keras_betavae.datasets import ImageDataset
from keras_betavae.experiments import runs
from keras_betavae.experiments.settings import Settings
from keras_betavae.experiments.sweeps.grid import train_run
from keras_betavae.experiments.tuning._guards import NUMBERS, Measured, fault_of, measure
from keras_betavae.experiments.weights import changed

_STRENGTHS = ("capacity", "max_capacity", "beta", "lambda_od")
_ENDED = ("COMPLETE", "PRUNED")
KL_POWER = 2.0
"""The weight of a latent in UDR. Unweighted, UDR orders settings by their number of latents."""


@dataclasses.dataclass(frozen=True)
class Search:
    """A search over the strength of the objective, the latents and the presets.

    Attributes:
        base: Arguments of `Settings.from_preset` of all runs.
        presets: Presets to choose from; the first determines the steps.
        strength: The smallest and largest factor for the preset's strength.
        latent_dim: The smallest and largest number of latents.
        seeds: Runs of each setting, at least 2, which UDR compares.
        steps: Training steps of each run.
        trials: Number of settings to try.
    """

    base: Mapping[str, Any]
    presets: Sequence[str]
    strength: Sequence[float]
    latent_dim: Sequence[int]
    seeds: int
    steps: int
    trials: int

    def check(self) -> None:
        """Checks for errors that every trial would raise.

        Raises:
            ValueError: If a number is out of range, a setting is, or a preset has no constant
                strength.
        """
        for name, least in (("seeds", 2), ("steps", 1), ("trials", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        for name, least in (("strength", 0), ("latent_dim", 1)):
            low, high = pair if len(pair := getattr(self, name)) == 2 else (0, 0)
            if not least <= low <= high < math.inf or not low:
                given = ", ".join(map(str, pair))
                raise ValueError(f"{name} must be two numbers from low to high, got {given}")
        if not self.presets:
            raise ValueError("presets must name at least one preset, got none")
        for preset in self.presets:
            self.settings({"preset": preset, "strength": 1.0, "latent_dim": self.latent_dim[0]})

    def settings(self, parameters: Mapping[str, Any], steps: int | None = None) -> Settings:
        """Returns the settings of a trial's first run, or of a training of other steps."""
        chosen = {**self.base, "preset": parameters["preset"]}
        steps = self.steps if steps is None else steps
        chosen |= {"steps": steps, "latent_dim": parameters["latent_dim"]}
        chosen.setdefault("every", max(1, steps // 4))
        share = steps / self._full_steps(parameters["preset"])
        if chosen.get("warm_up"):
            chosen["warm_up"] = max(1, round(chosen["warm_up"] * share))
        name, value = self.strength_of(parameters)
        if name in ("beta", "beta_norm") and name in self.base:
            return Settings.from_preset(**{**chosen, name: value})
        # A part of the strength, such as `capacity.end`, is in its value.
        given = (self.base.get("weights") or {}).items()
        weights = {other: each for other, each in given if not other.startswith(f"{name}.")}
        weights[name] = value
        rise = presets.get(parameters["preset"]).objective.get_config().get("n_steps")
        if isinstance(rise, int):
            # The capacity reaches its end in a short training too.
            weights["n_steps"] = max(1, round(weights.get("n_steps", rise) * share))
        return Settings.from_preset(**{**chosen, "weights": weights})

    def full_settings(self, parameters: Mapping[str, Any]) -> Settings:
        """Returns the settings of the chosen setting's own training."""
        return self.settings(parameters, self._full_steps(parameters["preset"]))

    def strength_of(self, parameters: Mapping[str, Any]) -> tuple[str, float]:
        """Returns the name of the strength and its value.

        Raises:
            ValueError: If the preset has no constant strength.
        """
        recipe = presets.get(parameters["preset"])
        known = {**recipe.objective.get_config(), **recipe.options}
        weights = self.base.get("weights") or {}
        own = {name: each for name, each in weights.items() if name.startswith("capacity.")}
        capacity: Any = getattr(changed(recipe.objective, own), "capacity", None)
        if "capacity" in known and callable(capacity):
            # A controller finds β for a constant C too: of one that rises, the end is varied.
            known["capacity"] = float(capacity(recipe.steps))
        given = {**known, **weights}
        names = [n for n in ("beta", "beta_norm") if self.base.get(n) is not None]
        # The γ of Burgess et al. is a constant of the method, and C the strength.
        names += ["gamma"] if "gamma" in recipe.options else list(_STRENGTHS)
        for name in names:
            value = self.base.get(name)
            value = given.get(name) if value is None else value
            if value == 0:
                raise ValueError(f"{name} must be above 0 to be searched, got {value}")
            if value is not None and not isinstance(value, dict):
                return name, float(f"{float(value) * parameters['strength']:.3g}")
        raise ValueError(
            f"{parameters['preset']} has no constant β, C, γ or λ to search; choose another preset"
        )

    def _full_steps(self, preset: str) -> int:
        return self.base.get("steps") or presets.get(preset).steps


class Trials:
    """A search as a study: a trial is a setting, trained with some seeds and judged by UDR."""

    def __init__(self, folder: Path, search: Search, until: float | None = None):
        from optuna.distributions import (
            CategoricalDistribution,
            FloatDistribution,
            IntDistribution,
        )

        self.folder, self.search, self.n_trials = folder, search, search.trials
        self.runs_per_trial, self._until = search.seeds, until
        (low, high), (fewest, most) = search.strength, search.latent_dim
        self.space: Mapping[str, Any] = {
            "preset": CategoricalDistribution(list(search.presets)),
            "strength": FloatDistribution(low, high, log=True),
            "latent_dim": IntDistribution(fewest, most),
        }

    @cached_property
    def data(self) -> ImageDataset:
        """The images of all trials, loaded once."""
        least = {"preset": self.search.presets[0], "strength": 1.0, "latent_dim": 1}
        data = self.search.settings(least).load_data()
        runs.check_data(self.folder / "data.json", data)
        return data

    def name_of(self, parameters: Mapping[str, Any]) -> str:
        """Returns the setting as text."""
        name, value = self.search.strength_of(parameters)
        text = f"{name}={value:g},latent_dim={parameters['latent_dim']}"
        return text if len(self.search.presets) == 1 else f"preset={parameters['preset']},{text}"

    def is_done(self, name: str) -> bool:
        """Returns True: what came out of a setting stands in the study."""
        del name
        return True

    def has_time(self, trials: Sequence[Any]) -> bool:
        """Returns whether one more trial would end in time; there is always time for the first."""
        seconds = [t.duration.total_seconds() for t in trials if t.state.name in _ENDED]
        return self._until is None or not seconds or time.time() + max(seconds) <= self._until

    def propose(self, study: Any, tried: set[str]) -> dict[str, Any] | None:
        """Returns {} while there are trials left.

        A tree-structured Parzen estimator, which knows what others try just now, then chooses.
        """
        import optuna

        trials = study.get_trials(deepcopy=False)
        ended = [t for t in trials if t.state.is_finished() and set(t.params) == set(self.space)]
        # A setting that failed in an earlier session is not in `tried`: it is tried again.
        names = [name for t in ended if (name := self.name_of(t.params)) in tried]
        n_repeated = len(names) - len(set(names))
        # There may be fewer settings than trials: the strength has three digits.
        if len(tried) >= self.n_trials or n_repeated >= self.n_trials:
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.sampler = optuna.samplers.TPESampler(
                seed=self.search.base.get("seed", 0) + len(trials),
                n_startup_trials=max(4, self.n_trials // 2),
                constant_liar=True,
            )
        return {}

    def train(self, trial: Any) -> float:
        """Trains a setting's runs and returns the median UDR.

        Raises:
            TrialPruned: If one run tells that the setting would not be chosen.
        """
        import optuna

        settings, name = self.search.settings(trial.params), self.name_of(trial.params)
        found: list[Measured] = []
        trials = trial.study.get_trials(deepcopy=False)
        others = [measured for t in trials if (measured := Measured.of(t)) is not None]
        trial.set_user_attr("judged", "UDR")
        scores: list[Mapping[str, float | None]] = []
        for n in range(self.search.seeds):
            each = settings.model_copy(update={"seed": settings.seed + n})
            folder = self.folder / "runs" / f"{name},seed={each.seed}"
            scores.append(train_run(folder, each, data=self.data, brief=True))
            found.append(measure(runs.load_model(folder), self.data, each.n_images))
            so_far = Measured.mean(found)
            for number in NUMBERS:
                trial.set_user_attr(number, getattr(so_far, number))
            fault = fault_of(so_far, [*others, so_far])
            if fault and n + 1 < self.search.seeds:
                trial.set_user_attr("fault", fault)
                raise optuna.TrialPruned(fault)
        kl = [each.kl for each in found]
        codes = [each.codes for each in found]
        published = metrics.udr_scores(codes, latent_kl=kl)
        trial.set_user_attr("udr_published", statistics.median(published))
        udr = metrics.udr_scores(codes, latent_kl=kl, kl_power=KL_POWER)
        trial.set_user_attr("udr", udr)
        mig = [m for each in scores if (m := each.get("mig_score")) is not None]
        if mig:
            trial.set_user_attr("mig", sum(mig) / len(mig))
        return statistics.median(udr)
