"""Keeps the projects of one test from the next: they use the same names."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.unit.graphs.loading import PROJECTS


@pytest.fixture(autouse=True)
def _own_imports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What a test imports of a project, and where it looks for it, is forgotten after it."""
    path = list(sys.path)
    yield
    sys.path[:] = path
    homes = (str(PROJECTS), str(tmp_path_factory.getbasetemp()))
    for name, module in list(sys.modules.items()):
        # A namespace package has no file, and its path would lead the next test into this one's folder.
        places = [getattr(module, "__file__", None) or "", *map(str, getattr(module, "__path__", ()))]
        if not name.startswith("tests") and any(place.startswith(homes) for place in places):
            del sys.modules[name]
