"""The list of all scores: what each means and needs."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, Literal

from keras_betavae.metrics.downstream import downstream_scores, unfairness_score
from keras_betavae.metrics.infomec import infomec_scores
from keras_betavae.metrics.information import (
    dcimig_score,
    jemmig_score,
    mig_score,
    mig_sup_score,
    modularity_score,
)
from keras_betavae.metrics.intervention import beta_vae_score, factor_vae_score
from keras_betavae.metrics.prediction import dci_scores, explicitness_score, sap_score
from keras_betavae.metrics.robustness import irs_score
from keras_betavae.metrics.udr import udr_scores
from keras_betavae.metrics.unsupervised import (
    active_units,
    pairwise_mutual_information,
    total_correlation,
    wasserstein_correlation,
)

Needs = Literal["codes", "factors", "two factors", "several models"]
Group = Literal["fast", "slow"]


@dataclasses.dataclass(frozen=True)
class Score:
    """What is to be known of a score before it is computed.

    Attributes:
        function: Of `(factors, codes)`; of `codes` where `needs` is "codes"; of the codes
            of several models where it is "several models".
        paper: Who proposed it, where.
        range: The smallest and the largest value.
        larger_is_better: None where neither is better.
        needs: What it is computed from.
        group: "fast": about a second or less for 20,000 images of five factors and ten
            codes; "slow": many seconds to minutes.
    """

    function: Callable[..., Any]
    paper: str
    range: tuple[float, float] = (0.0, 1.0)
    larger_is_better: bool | None = True
    needs: Needs = "two factors"
    group: Group = "fast"


SCORES: Mapping[str, Score] = MappingProxyType(
    {
        "beta_vae_score": Score(beta_vae_score, "Higgins et al., ICLR 2017"),
        "beta_vae_score_locatello": Score(
            partial(beta_vae_score, protocol="locatello"),
            "Higgins et al., ICLR 2017, as in Locatello et al., ICML 2019",
        ),
        "beta_vae_score_scale_free": Score(
            partial(beta_vae_score, protocol="scale_free"),
            "Higgins et al., ICLR 2017, unregularised on standardised points",
        ),
        "factor_vae_score": Score(factor_vae_score, "Kim & Mnih, ICML 2018"),
        "mig_score": Score(mig_score, "Chen et al., NeurIPS 2018", needs="factors"),
        "mig_sup_score": Score(mig_sup_score, "Li et al., ICLR 2020"),
        "dcimig_score": Score(dcimig_score, "Sepliarskaia et al., 2019"),
        "jemmig_score": Score(jemmig_score, "Do & Tran, ICLR 2020", needs="factors"),
        "modularity_score": Score(modularity_score, "Ridgeway & Mozer, NeurIPS 2018"),
        "explicitness_score": Score(
            explicitness_score, "Ridgeway & Mozer, NeurIPS 2018", needs="factors"
        ),
        "sap_score": Score(sap_score, "Kumar et al., ICLR 2018", needs="factors"),
        "irs_score": Score(irs_score, "Suter et al., ICML 2019", needs="factors"),
        "infomec_scores": Score(infomec_scores, "Hsu et al., NeurIPS 2023", group="slow"),
        "dci_scores": Score(dci_scores, "Eastwood & Williams, ICLR 2018", group="slow"),
        "downstream_scores": Score(
            downstream_scores,
            "Locatello et al., ICML 2019",
            range=(0.0, math.inf),
            needs="factors",
            group="slow",
        ),
        "unfairness_score": Score(
            unfairness_score,
            "Locatello et al., NeurIPS 2019",
            larger_is_better=False,
            group="slow",
        ),
        "total_correlation": Score(
            total_correlation,
            "Watanabe, 1960; Locatello et al., ICML 2019",
            range=(0.0, math.inf),
            larger_is_better=False,
            needs="codes",
        ),
        "wasserstein_correlation": Score(
            wasserstein_correlation,
            "Locatello et al., ICML 2019",
            range=(0.0, math.inf),
            larger_is_better=False,
            needs="codes",
        ),
        "wasserstein_correlation_normalized": Score(
            partial(wasserstein_correlation, normalized=True),
            "Locatello et al., ICML 2019",
            range=(0.0, 2.0),
            larger_is_better=False,
            needs="codes",
        ),
        "pairwise_mutual_information": Score(
            pairwise_mutual_information,
            "Locatello et al., ICML 2019",
            range=(0.0, math.inf),
            larger_is_better=False,
            needs="codes",
        ),
        "active_units": Score(
            active_units,
            "Burda et al., ICLR 2016",
            range=(0.0, math.inf),
            larger_is_better=None,
            needs="codes",
        ),
        "udr_scores": Score(udr_scores, "Duan et al., ICLR 2020", needs="several models"),
    }
)
