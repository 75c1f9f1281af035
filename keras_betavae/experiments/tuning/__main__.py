"""A process of a search that `tune` has started."""

from keras_betavae.experiments import tuning
from keras_betavae.experiments.sweeps.workers import worker
from keras_betavae.experiments.tuning._search import Trials

if __name__ == "__main__":
    worker(lambda folder, until: Trials(folder, tuning.load(folder), until))
