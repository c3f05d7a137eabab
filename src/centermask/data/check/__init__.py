"""``centermask data check``: what is wrong with a data set, before a run finds out."""

from centermask.data.check.page import write_report as write_report
from centermask.data.check.report import CheckReport as CheckReport
from centermask.data.check.run import check_data as check_data
from centermask.data.check.table import format_report as format_report

__all__ = ["CheckReport", "check_data", "format_report", "write_report"]
