"""Engines over HTTP that have a name: how config.toml and the system's keyring hold them, and whether they answer."""
