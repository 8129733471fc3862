"""What a generation may start from, and where what it reads is kept."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engine.runtime.binding import Binding, binding_from
from engine.runtime.checkpoint import Speeds


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """states: files that may hold a beginning of the prompt. checkpoint: the path, without its number, under which
    checkpoints of a long prefill are written; None for none. checkpoint_bytes: the largest that may be. speeds: see
    Checkpoints."""

    binding: Binding
    states: tuple[Path, ...] = ()
    checkpoint: Path | None = None
    checkpoint_bytes: int = 0
    speeds: Speeds | None = None

    def fields(self) -> dict[str, Any]:
        """As JSON for the child process."""
        return {
            "binding": self.binding.fields(),
            "states": [str(state) for state in self.states],
            "checkpoint": str(self.checkpoint) if self.checkpoint else None,
            "checkpoint_bytes": self.checkpoint_bytes,
            "speeds": asdict(self.speeds) if self.speeds else None,
        }


def keeping_from(fields: Mapping[str, Any]) -> Keeping:
    """The way back from `Keeping.fields`."""
    return Keeping(
        binding=binding_from(fields["binding"]),
        states=tuple(Path(state) for state in fields["states"]),
        checkpoint=Path(fields["checkpoint"]) if fields["checkpoint"] else None,
        checkpoint_bytes=fields["checkpoint_bytes"],
        speeds=Speeds(**fields["speeds"]) if fields["speeds"] else None,
    )
