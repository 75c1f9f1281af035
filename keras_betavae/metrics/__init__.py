"""Scores of representations: pure functions of (factors, codes)."""

from keras_betavae.metrics.controls import ica_codes, pca_codes, pixel_codes
from keras_betavae.metrics.downstream import (
    DownstreamScores,
    downstream_scores,
    unfairness_score,
)
from keras_betavae.metrics.estimation import mutual_information
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
from keras_betavae.metrics.registry import SCORES, Score
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
    "ica_codes",
    "infomec_scores",
    "irs_score",
    "jemmig_score",
    "mig_score",
    "mig_sup_score",
    "modularity_score",
    "mutual_information",
    "pairwise_mutual_information",
    "pca_codes",
    "pixel_codes",
    "sap_score",
    "total_correlation",
    "udr_scores",
    "unfairness_score",
    "wasserstein_correlation",
]
