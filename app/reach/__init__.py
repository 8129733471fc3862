"""How far a model reads: probes planted in copies of the user's corpus, asked at several lengths and depths, scored by
rules that docs/reading.md has."""
