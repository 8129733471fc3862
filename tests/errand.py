"""Work that needs llama.cpp, done in a process of its own: what a crash there ends is one test, not the test run."""

import json
import subprocess
import sys
from typing import Any

from tests.models.cache import REPO
from tests.models.probe import ENVIRONMENT


def sent(module: str, job: dict[str, Any]) -> Any:
    """What `python -m module` prints, as JSON, to a job that comes in as JSON. Raises AssertionError with its last
    words when it fails."""
    child = subprocess.run(
        [sys.executable, "-m", module],
        input=json.dumps(job),
        capture_output=True,  # llama.cpp talks
        encoding="utf-8",
        cwd=REPO,
        env=ENVIRONMENT,
        check=False,
    )
    assert child.returncode == 0, child.stderr[-3_000:]
    return json.loads(child.stdout)
