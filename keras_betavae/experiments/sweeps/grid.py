"""A sweep as a study: each combination of its axes is a trial, and each trial a run."""

import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from keras_betavae._utils.files import check_own_places
from keras_betavae._utils.tables import write_text
from keras_betavae.datasets import ImageDataset
from keras_betavae.experiments import runs
from keras_betavae.experiments.runs import BRIEF_SCORES
from keras_betavae.experiments.settings import Settings
from keras_betavae.experiments.sweeps._plan import Sweep, run_name

_DATA = (
    *("data", "data_path", "factors_path", "continuous", "class_folders", "image_size"),
    *("stretch", "channels", "data_size", "grid"),
)
"""The settings that determine the data."""


def _data_of(settings: Settings) -> str:
    return repr([getattr(settings, name) for name in _DATA])


class Grid:
    """All combinations, in order, each given out once.

    Optuna's `GridSampler` shuffles them, and gives one that is being trained to a second process
    as soon as none is left.
    """

    runs_per_trial = 1

    def __init__(self, folder: Path, sweep: Sweep):
        from optuna.distributions import CategoricalDistribution

        self.folder = folder
        self.space: Mapping[str, Any] = {
            a: CategoricalDistribution(list(sweep.axes[a])) for a in sweep.axes
        }
        self._settings = sweep.trials()
        self._labels = {run_name(labels): labels for labels in sweep.labels()}
        self.n_trials = len(self._labels)
        kinds = dict.fromkeys(map(_data_of, self._settings.values()))
        self._records = {
            kind: f"data_{n}.json" if len(kinds) > 1 else "data.json"
            for n, kind in enumerate(kinds)
        }

    def name_of(self, parameters: Mapping[str, Any]) -> str:
        """Returns the name of the run's folder."""
        return run_name({axis: parameters[axis] for axis in self.space})

    def is_done(self, name: str) -> bool:
        """Returns whether the run is finished."""
        return runs.is_finished(self.folder / "runs" / name)

    def has_time(self, trials: Sequence[Any]) -> bool:
        """Returns True: a sweep takes as long as it takes."""
        del trials
        return True

    def propose(self, study: Any, tried: set[str]) -> dict[str, Any] | None:
        """Returns the first combination that was not tried."""
        del study
        return next((each for name, each in self._labels.items() if name not in tried), None)

    def train(self, trial: Any) -> float:
        """Trains a run; it is judged by the first of `BRIEF_SCORES` that its data allow."""
        name = self.name_of(trial.params)
        scores = train_run(
            self.folder / "runs" / name,
            self._settings[name],
            record=self.folder / self._records[_data_of(self._settings[name])],
        )
        for judged in BRIEF_SCORES:
            if (value := scores.get(judged)) is not None:
                trial.set_user_attr("judged", judged)
                return value
        return 0.0


def check_run(folder: Path, settings: Settings) -> None:
    """Checks that a folder is not a run of other settings.

    Raises:
        ValueError: If it is.
    """
    if (folder / "config.json").is_file() and runs.load_settings(folder) != settings:
        raise ValueError(f"{folder} is a run of other settings")


def train_run(
    folder: Path,
    settings: Settings,
    *,
    data: ImageDataset | None = None,
    record: Path | None = None,
    brief: bool = False,
) -> dict[str, float | None]:
    """Trains and scores a run to its end, if it is not finished; returns the model's scores.

    An error is written to the run's `error.txt` too.

    Args:
        folder: The run.
        settings: Its settings.
        data: Its data, if they are loaded already.
        record: The file of `check_data` that runs on the same data share.
        brief: As in `runs.train` and `runs.finish`.

    Raises:
        FileExistsError: If the folder is a link or a file.
        ValueError: If the folder is a run of other settings; further errors as `runs.train`.
    """
    error_file = folder / "error.txt"
    check_own_places(folder.parent, [folder.name])
    try:
        check_run(folder, settings)
        if not runs.is_finished(folder):
            error_file.unlink(missing_ok=True)
            if not (folder / "config.json").is_file():
                runs.create(folder, settings)
            data = settings.load_data() if data is None else data
            if record is not None:
                runs.check_data(record, data)
            vae = runs.train(folder, data, verbose=0, brief=brief)
            runs.finish(folder, vae, data, controls=False, brief=brief)
            keras.backend.clear_session()
        return runs.load_scores(folder)["trained"]
    except Exception:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(error_file, traceback.format_exc())
        raise
