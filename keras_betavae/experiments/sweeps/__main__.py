"""A process of a sweep that `sweeps.run` has started."""

from keras_betavae.experiments import sweeps
from keras_betavae.experiments.sweeps.grid import Grid
from keras_betavae.experiments.sweeps.workers import worker

if __name__ == "__main__":
    worker(lambda folder, _: Grid(folder, sweeps.load(folder)))
