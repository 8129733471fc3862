"""What an engine is started with."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engine.cores import usable_cores
from engine.memory.budget import Placement, placement_from


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """Settings of one llama.cpp context: a model, where it goes, and how many threads compute.

    kv_places: bytes of the KV cache by device as planned, since llama.cpp's log rounds them.
    projector: of a model that sees. embeddings: the folder in which what pictures became is kept, and the bytes that
    it may take. lora: the adapters that are applied, each with its scale.
    """

    model: Path
    placement: Placement
    projector: Path | None = None
    embeddings: Path | None = None
    embeddings_bytes: int = 2 << 30
    kv_places: tuple[tuple[str, int], ...] = ()
    n_threads: int = 0  # 0: as many as this process may use
    lora: tuple[tuple[Path, float], ...] = ()

    def fields(self) -> dict[str, Any]:
        """As JSON for the child process."""
        return {
            "model": str(self.model),
            "placement": asdict(self.placement),
            "projector": str(self.projector) if self.projector else None,
            "embeddings": str(self.embeddings) if self.embeddings else None,
            "embeddings_bytes": self.embeddings_bytes,
            "kv_places": self.kv_places,
            "n_threads": self.n_threads or usable_cores(),
            "lora": [(str(path), scale) for path, scale in self.lora],
        }


def settings_from(fields: dict[str, Any]) -> EngineSettings:
    """The way back from `EngineSettings.fields`."""
    return EngineSettings(
        model=Path(fields["model"]),
        placement=placement_from(fields["placement"]),
        projector=Path(fields["projector"]) if fields["projector"] else None,
        embeddings=Path(fields["embeddings"]) if fields["embeddings"] else None,
        embeddings_bytes=fields["embeddings_bytes"],
        kv_places=tuple((str(name), int(n_bytes)) for name, n_bytes in fields["kv_places"]),
        n_threads=fields["n_threads"],
        lora=tuple((Path(path), float(scale)) for path, scale in fields["lora"]),
    )
