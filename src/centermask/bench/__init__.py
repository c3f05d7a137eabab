"""How long predictions take, where the time goes, and how much memory they need: for any file, side by side."""

from centermask.bench.run import Bench, Row, bench
from centermask.bench.table import format_bench

__all__ = ["Bench", "Row", "bench", "format_bench"]
