"""Keeps tests and all Python that they start from the network: see offline.py."""

import os
from collections.abc import Mapping
from pathlib import Path

FOLDER = Path(__file__).parent


def offline(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment of a Python that a test starts, whose path may be one of the test's own."""
    path = environment.get("PYTHONPATH", "").split(os.pathsep)
    return {**environment, "PYTHONPATH": os.pathsep.join(filter(None, dict.fromkeys((*path, str(FOLDER)))))}
