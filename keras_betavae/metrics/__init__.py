"""Scores of representations: pure functions of (factors, codes).

`registry` lists the scores.

Factors are an array (n_samples, n_factors). In an array of integers, each value is a class. In an
array of floats, a column with a non-integer value is a continuous factor; the others are classes.
Scores that need classes put a continuous factor, and the codes that they compare with it, into 20
quantile bins, so any monotone function of the factor is a perfect code. `sap_score`, `dci_scores`
and the explicitness of `infomec_scores` regress its values instead.
"""

from keras_betavae.metrics import registry
from keras_betavae.metrics.controls import ica_codes, pca_codes, pixel_codes
from keras_betavae.metrics.estimation import mutual_information, posterior_information
from keras_betavae.metrics.registry import *  # noqa: F403

__all__ = ["ica_codes", "mutual_information", "pca_codes", "pixel_codes", "posterior_information"]
__all__ += registry.__all__
