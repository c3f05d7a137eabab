"""A predictor's answers to a set, measured: COCO box and mask AP and recall, where it errs, and two runs compared."""

from centermask.evaluate.analyse import analyse
from centermask.evaluate.analysis import Analysis
from centermask.evaluate.coco_ap import evaluate_predictions
from centermask.evaluate.compare import ComparedScore, Comparison, Interval, compare
from centermask.evaluate.results import Results, merge_shards
from centermask.evaluate.run import predict_set, shared_categories
from centermask.evaluate.scores import ClassScores, Evaluation, Scores
from centermask.evaluate.table import format_comparison, format_table

__all__ = [
    "Analysis",
    "ClassScores",
    "ComparedScore",
    "Comparison",
    "Evaluation",
    "Interval",
    "Results",
    "Scores",
    "analyse",
    "compare",
    "evaluate_predictions",
    "format_comparison",
    "format_table",
    "merge_shards",
    "predict_set",
    "shared_categories",
]
