"""On PYTHONPATH: this Python reaches nothing but this machine."""

import offline  # noqa: F401
