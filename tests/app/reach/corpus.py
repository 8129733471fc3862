"""A corpus for readings, and a fake reader of it that knows every answer up to some length."""

from collections.abc import Sequence
from pathlib import Path

from app.reach.haystack import Field
from app.reach.probes import depths_of
from app.settings import Settings
from engine.backend import Backend, Corpus, Source
from engine.corpus.source import digest_text
from tests.fake_backend import FakeBackend


def source(path: str, text: str) -> Source:
    return Source(
        path=path, kind="text", text=text, n_bytes=len(text.encode("utf-8", "surrogatepass")), digest=digest_text(text)
    )


_WORDS = ("keep", "drop", "fold", "turn", "mark", "wait", "lift", "pack")


def module(name: str, n_functions: int) -> Source:
    """A module of functions that say in words what they do."""
    parts = [f"# {name}"]
    for at in range(n_functions):
        verb = _WORDS[at % len(_WORDS)]
        parts += [
            f"def {verb}_{name}_{at}(rows, columns):",
            f'    """Gives back what number {at} of the {name} tables was before everything moved on."""',
            *(f"    row_{line} = rows[{line}] + columns[{line}]" for line in range(6)),
            f"    return row_0 * {at}",
            "",
        ]
    return source(f"{name}.py", "\n".join(parts) + "\n")


def corpus(n_modules: int = 12, n_functions: int = 8) -> Corpus:
    names = [f"part{chr(97 + at)}" for at in range(n_modules)]
    return Corpus(tuple(module(name, n_functions) for name in names))


def settings(home: Path) -> Settings:
    return Settings(home=home, model="fake")


def reader(sources: Sequence[Source], *, lengths: Sequence[int], n_depths: int, reads: int = 1 << 30) -> FakeBackend:
    """Answers every question of the default seed rightly in prompts of so many tokens, and else talks of cheese."""
    backend = FakeBackend(window=100_000)
    known = answers(sources, backend, lengths=lengths, n_depths=n_depths)

    def answer(question: str) -> str:
        n_tokens = backend.asked[-1].prompt.n_tokens
        return known.get(question, "I like cheese") if n_tokens <= reads else "I like cheese"

    backend.answer = answer
    return backend


def answers(sources: Sequence[Source], backend: Backend, *, lengths: Sequence[int], n_depths: int) -> dict[str, str]:
    field = Field(sources, backend, seed=0, depths=depths_of(n_depths))
    return {
        probe.question: f"It is {probe.answer}." if probe.answer else "That is not there."
        for tokens in lengths
        for probe in field.haystack(tokens).probes
    }
