"""Saved KV caches: what of a prompt need not be read, what engines read and is saved, and its budget on disk."""
