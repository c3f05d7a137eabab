"""The report of a run or of an evaluation: one HTML file that needs no network, made to be shown to somebody.

write one for weights that are scored outside a run.
"""

from centermask.report.comparison import write_comparison
from centermask.report.evaluation import write_evaluation
from centermask.report.run import update_report
from centermask.report.sets import EvaluatedSet, count_set
from centermask.report.shown import save_training_picture

__all__ = [
    "EvaluatedSet",
    "count_set",
    "save_training_picture",
    "update_report",
    "write_comparison",
    "write_evaluation",
]
