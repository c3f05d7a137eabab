"""COCO box and mask AP and recall: a predictor's answers to a set, measured and printed."""

from centermask.evaluate.coco_ap import evaluate_predictions
from centermask.evaluate.run import predict_set
from centermask.evaluate.scores import ClassScores, Evaluation, Scores
from centermask.evaluate.table import format_table

__all__ = ["ClassScores", "Evaluation", "Scores", "evaluate_predictions", "format_table", "predict_set"]
