"""A process of a search that `tune` has started."""

import sys

from keras_betavae.experiments import tuning
from keras_betavae.experiments.sweeps.workers import worker
from keras_betavae.experiments.tuning._search import Trials

if __name__ == "__main__":
    search = tuning.load(sys.argv[1])
    worker(
        lambda folder, deadline: Trials(folder, search, float(deadline) if deadline else None),
        runs_per_trial=search.seeds,
    )
