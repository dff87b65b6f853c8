"""Every metric is in the reference, with its kind, its labels and its sentence, and no other is."""

from __future__ import annotations

import re
from pathlib import Path

from langyard.telemetry.metrics import TABLE

PAGE = Path(__file__).parents[2] / "docs/reference/metrics.md"


def test_every_metric_is_documented_and_no_other():
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) \| (.*) \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    said = {name: (kind, tuple(re.findall(r"`(\w+)`", labels)), text) for name, kind, labels, text in rows}
    assert said == {name: (row.kind, row.labels, row.help) for name, row in TABLE.items()}
