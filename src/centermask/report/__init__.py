"""The report of a run or of an evaluation: one HTML file that needs no network, made to be shown to somebody.

``update_report`` keeps that of a run up to date; ``count_set`` and ``write_evaluation`` write one for weights that are
scored outside a run. None of them needs torch; ``learned.py``, which draws what a network is shown, does.
"""

from centermask.report.comparison import write_comparison
from centermask.report.evaluation import write_evaluation
from centermask.report.run import update_report
from centermask.report.sets import EvaluatedSet, count_set

__all__ = [
    "EvaluatedSet",
    "count_set",
    "update_report",
    "write_comparison",
    "write_evaluation",
]
