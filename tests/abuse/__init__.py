"""What strangers and accidents do to Longdesk, in bulk: `python -m tests.bench abuse`."""
