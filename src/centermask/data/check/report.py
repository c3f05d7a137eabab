"""What a check has found, as a noun and as JSON."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from centermask.data.check.findings import Finding, Group
from centermask.data.check.kinds import SEVERITIES, Severity
from centermask.data.check.statistics import Statistics
from centermask.data.formats.labels import Format


@dataclass(frozen=True, kw_only=True)
class CheckReport:
    """Everything about a data set that was checked."""

    data: str
    folder: Path
    """In which all of it lies."""
    format: Format
    groups: tuple[Group, ...]
    """The findings by kind, the worst first."""
    statistics: tuple[Statistics, ...]
    """Of each split, train first."""
    hints: tuple[str, ...]

    @property
    def harmful(self) -> bool:
        """Whether training, or its figures, would be harmed."""
        return any(group.severity == "error" for group in self.groups)

    def count(self, severity: Severity) -> int:
        """Findings of a severity."""
        return sum(group.count for group in self.groups if group.severity == severity)

    def findings(self) -> Iterator[Finding]:
        """All that were kept, the worst first."""
        return (finding for group in self.groups for finding in group.findings)

    def to_json(self) -> Iterator[str]:
        """The JSON in pieces, so that many findings are never one text."""
        head: dict[str, Any] = {
            "data": self.data,
            "format": self.format,
            "harmful": self.harmful,
            "counts": {severity: self.count(severity) for severity in SEVERITIES},
            "kinds": {group.kind: {"severity": group.severity, "count": group.count} for group in self.groups},
            "statistics": [one.to_json() for one in self.statistics],
            "hints": list(self.hints),
        }
        yield json.dumps(head, indent=2)[:-2] + ',\n  "findings": ['
        for place, finding in enumerate(self.findings()):
            yield (",\n    " if place else "\n    ") + json.dumps(_plain(finding))
        yield "\n  ]\n}\n"


def _plain(finding: Finding) -> dict[str, str]:
    return {
        "kind": finding.kind,
        "severity": finding.severity,
        "split": finding.split,
        "file": finding.file,
        "picture": finding.picture,
        "annotation": finding.annotation,
        "message": finding.message,
    }
