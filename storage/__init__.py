"""What a user owns, in one SQLite file: sessions, turns, sources by content, the index of KV states."""
