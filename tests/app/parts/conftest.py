"""For tests of the page without a browser: what is added stands there with the next drawing."""

import pytest

from tests.patience import PATIENCE_S


@pytest.fixture(autouse=True)
def patient_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine is, the page waits for what is read in a moment elsewhere."""
    monkeypatch.setattr("app.parts.adding.SOON_S", PATIENCE_S)
