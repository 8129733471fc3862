"""A keyring in a file that a test names, for commands that run as processes of their own: it stands in for a system's.
PYTHON_KEYRING_BACKEND=tests.file_keyring.FileKeyring, and LONGDESK_TEST_KEYRING a path."""

import json
import os
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError

WHERE = "LONGDESK_TEST_KEYRING"


class FileKeyring(KeyringBackend):
    """Keeps what it is given as JSON."""

    priority = 1.0  # type: ignore[assignment]

    def get_password(self, service: str, username: str) -> str | None:
        found: str | None = self._held().get(f"{service}: {username}")
        return found

    def set_password(self, service: str, username: str, password: str) -> None:
        self._put({**self._held(), f"{service}: {username}": password})

    def delete_password(self, service: str, username: str) -> None:
        held = self._held()
        if held.pop(f"{service}: {username}", None) is None:
            raise PasswordDeleteError("it is not there")
        self._put(held)

    def _held(self) -> dict[str, str]:
        path = Path(os.environ[WHERE])
        return dict(json.loads(path.read_text())) if path.exists() else {}

    def _put(self, held: dict[str, str]) -> None:
        Path(os.environ[WHERE]).write_text(json.dumps(held))


def variables(path: Path) -> dict[str, str]:
    """The environment of a process that has this keyring."""
    root = str(Path(__file__).parents[1])
    return {"PYTHON_KEYRING_BACKEND": "tests.file_keyring.FileKeyring", WHERE: str(path), "PYTHONPATH": root}
