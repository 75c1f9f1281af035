"""The registry of all scores, with their range, needs and arguments."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, Literal

from keras_betavae.metrics._samples import split_sizes
from keras_betavae.metrics.downstream import (
    DownstreamScores,
    downstream_scores,
    labeled_sizes,
    unfairness_score,
)
from keras_betavae.metrics.infomec import InfoMECScores, infomec_scores
from keras_betavae.metrics.information import (
    dcimig_score,
    jemmig_score,
    mig_score,
    mig_sup_score,
    modularity_score,
)
from keras_betavae.metrics.intervention import beta_vae_score, factor_vae_score
from keras_betavae.metrics.prediction import (
    DCIScores,
    dci_scores,
    explicitness_score,
    sap_score,
)
from keras_betavae.metrics.robustness import irs_score
from keras_betavae.metrics.udr import udr_scores
from keras_betavae.metrics.unsupervised import (
    active_units,
    pairwise_mutual_information,
    total_correlation,
    wasserstein_correlation,
)

__all__ = [
    "SCORES",
    "DCIScores",
    "DownstreamScores",
    "InfoMECScores",
    "Score",
    "active_units",
    "beta_vae_score",
    "dci_scores",
    "dcimig_score",
    "downstream_scores",
    "explicitness_score",
    "factor_vae_score",
    "infomec_scores",
    "irs_score",
    "jemmig_score",
    "mig_score",
    "mig_sup_score",
    "modularity_score",
    "pairwise_mutual_information",
    "sap_score",
    "total_correlation",
    "udr_scores",
    "unfairness_score",
    "wasserstein_correlation",
]

Option = Literal["seed", "factor_names", "n_jobs"]
SampleSizes = Callable[[int], tuple[int, int | None]]


def whole(n_codes: int) -> tuple[int, None]:
    """Returns the sample sizes of a score that uses all codes and has no test samples."""
    return n_codes, None


@dataclasses.dataclass(frozen=True)
class Score:
    """A score and its properties.

    `evaluate` calls `function(factors, codes)`, or `function(codes)` if `n_factors` is 0,
    with only those keyword arguments that `options` names.

    Attributes:
        function: Returns a number, or several in a named tuple or a dict.
        paper: Its authors, and where it was published.
        range: The smallest and the largest value.
        larger_is_better: None if neither is better.
        n_factors: Number of factors that it needs; 0 for a score of codes.
        several_models: Whether it compares several models. Such a score takes a list of
            codes, one array per model; `evaluate` does not support it.
        ignored_factors: Names of factors that it ignores, which do not count for `n_factors`.
        options: Which of `seed`, `factor_names` and `n_jobs` it takes.
        sample_sizes: Maps the number of codes to the number of samples (points, votes) that
            it uses or fits to, and the number that it tests on, or None.
        rows: Row names of a composite score in a `ScoreTable`; empty for a single number.
        regressed: Names of the rows that regress continuous factors instead of binning them.
        group: `"fast"`: about a second or less for 20,000 images, five factors and ten
            codes. `"slow"`: many seconds to minutes.
        for_pixels: Whether it supports thousands of codes, such as raw pixels.

    Example:
        >>> def mean_code(factors, codes, *, seed):
        ...     return np.random.default_rng(seed).permutation(codes)[:100].mean()
        >>> own = Score(mean_code, options=("seed",), sample_sizes=lambda n: (min(n, 100), None))
    """

    function: Callable[..., Any]
    paper: str = ""
    range: tuple[float, float] = (0.0, 1.0)
    larger_is_better: bool | None = True
    n_factors: int = 1
    several_models: bool = False
    ignored_factors: tuple[str, ...] = ()
    options: tuple[Option, ...] = ()
    sample_sizes: SampleSizes = whole
    rows: tuple[str, ...] = ()
    regressed: tuple[str, ...] = ()
    group: Literal["fast", "slow"] = "fast"
    for_pixels: bool = False


def _points(n_codes: int) -> tuple[int, int]:
    del n_codes  # The number of points and votes does not depend on the number of images.
    return 10_000, 5_000


def _drawn(n_codes: int) -> tuple[int, None]:
    return min(n_codes, 10_000), None


def _labeled(n_codes: int) -> tuple[int, int]:
    sizes, n_test = labeled_sizes(n_codes, (10, 100, 1_000, 10_000), 5_000)
    return sizes[-1], n_test


_split = partial(split_sizes, n_train=10_000, n_test=5_000)
_beta_vae = partial(
    Score, n_factors=2, options=("seed", "factor_names"), sample_sizes=_points, for_pixels=True
)
_of_information = partial(Score, options=("seed",), sample_sizes=_drawn)
_of_prediction = partial(Score, options=("seed",), sample_sizes=_split)
_of_codes = partial(Score, range=(0.0, math.inf), larger_is_better=False, n_factors=0)

SCORES: Mapping[str, Score] = MappingProxyType(
    {
        "beta_vae_score": _beta_vae(
            beta_vae_score, "Higgins et al., ICLR 2017", ignored_factors=("shape",)
        ),
        "beta_vae_score_locatello": _beta_vae(
            partial(beta_vae_score, protocol="locatello"),
            "Higgins et al., ICLR 2017, as in Locatello et al., ICML 2019",
        ),
        "beta_vae_score_scale_free": _beta_vae(
            partial(beta_vae_score, protocol="scale_free"),
            "Higgins et al., ICLR 2017, unregularized on standardized points",
        ),
        "factor_vae_score": Score(
            factor_vae_score,
            "Kim & Mnih, ICML 2018",
            n_factors=2,
            options=("seed",),
            sample_sizes=_points,
        ),
        "mig_score": _of_information(mig_score, "Chen et al., NeurIPS 2018"),
        "mig_sup_score": _of_information(mig_sup_score, "Li et al., ICLR 2020", n_factors=2),
        "dcimig_score": _of_information(dcimig_score, "Sepliarskaia et al., 2019", n_factors=2),
        "jemmig_score": _of_information(jemmig_score, "Do & Tran, ICLR 2020"),
        "modularity_score": _of_information(
            modularity_score, "Ridgeway & Mozer, NeurIPS 2018", n_factors=2
        ),
        "explicitness_score": _of_prediction(explicitness_score, "Ridgeway & Mozer, NeurIPS 2018"),
        "sap_score": _of_prediction(sap_score, "Kumar et al., ICLR 2018", regressed=("sap_score",)),
        "irs_score": Score(
            irs_score, "Suter et al., ICML 2019", options=("seed",), sample_sizes=_drawn
        ),
        "infomec_scores": _of_information(
            infomec_scores,
            "Hsu et al., NeurIPS 2023",
            n_factors=2,
            rows=("infomec_modularity", "infomec_explicitness", "infomec_compactness"),
            regressed=("infomec_explicitness",),
            group="slow",
        ),
        "dci_scores": _of_prediction(
            dci_scores,
            "Eastwood & Williams, ICLR 2018",
            n_factors=2,
            options=("seed", "n_jobs"),
            rows=("dci_disentanglement", "dci_completeness", "dci_informativeness"),
            regressed=("dci_disentanglement", "dci_completeness", "dci_informativeness"),
            group="slow",
        ),
        "downstream_scores": Score(
            downstream_scores,
            "Locatello et al., ICML 2019",
            range=(0.0, math.inf),
            options=("seed", "n_jobs"),
            sample_sizes=_labeled,
            rows=(
                *(f"downstream_accuracy_{n}" for n in (10, 100, 1_000, 10_000)),
                *(f"downstream_efficiency_{n}" for n in (10, 100, 1_000)),
            ),
            group="slow",
        ),
        "unfairness_score": _of_prediction(
            unfairness_score,
            "Locatello et al., NeurIPS 2019",
            larger_is_better=False,
            n_factors=2,
            options=("seed", "n_jobs"),
            group="slow",
        ),
        "total_correlation": _of_codes(
            total_correlation, "Watanabe, 1960; Locatello et al., ICML 2019"
        ),
        "wasserstein_correlation": _of_codes(
            wasserstein_correlation, "Locatello et al., ICML 2019"
        ),
        "wasserstein_correlation_normalized": _of_codes(
            partial(wasserstein_correlation, normalized=True),
            "Locatello et al., ICML 2019",
            range=(0.0, 2.0),
        ),
        "pairwise_mutual_information": _of_codes(
            pairwise_mutual_information,
            "Locatello et al., ICML 2019",
            options=("seed",),
            sample_sizes=_drawn,
        ),
        "active_units": _of_codes(active_units, "Burda et al., ICLR 2016", larger_is_better=None),
        "udr_scores": Score(udr_scores, "Duan et al., ICLR 2020", n_factors=0, several_models=True),
    }
)
