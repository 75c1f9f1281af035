"""Scores of a model from one encoding, their table, and the inspection of its latents."""

from keras_betavae.evaluation.choice import Scores, choose, left_out
from keras_betavae.evaluation.controls import evaluate_with_controls
from keras_betavae.evaluation.inspection import Inspection, inspect, showcase
from keras_betavae.evaluation.score_table import Row, ScoreTable, score_list, side_by_side
from keras_betavae.evaluation.scoring import evaluate, evaluate_codes

__all__ = [
    "Inspection",
    "Row",
    "ScoreTable",
    "Scores",
    "choose",
    "evaluate",
    "evaluate_codes",
    "evaluate_with_controls",
    "inspect",
    "left_out",
    "score_list",
    "showcase",
    "side_by_side",
]
