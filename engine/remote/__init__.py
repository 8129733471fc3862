"""Engines over HTTP: one client, and one adapter an engine. Each is recognised by what it says of itself."""
