"""The fields of a request, each of its type, and what a request is told that cannot be answered as it is."""

from collections.abc import Mapping
from typing import Any

from engine.errors import UsageError


class BadRequest(UsageError):
    """A request that cannot be answered as it is. param: the key that is at fault; code: OpenAI's, where it has one."""

    def __init__(
        self, fact: str, remedy: str = "", *, param: str | None = None, code: str | None = None, status: int = 400
    ) -> None:
        super().__init__(fact, remedy)
        self.param, self.code, self.status = param, code, status


def typed(fields: Mapping[str, Any], name: str, kind: type | tuple[type, ...], what: str) -> Any:
    """A field's value, None where it is not there. Raises BadRequest for one of another type."""
    value = fields.get(name)
    if value is not None and (not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)):
        raise BadRequest(f"{name} is not {what}.", "Mend it, or leave it out.", param=name)
    return value
