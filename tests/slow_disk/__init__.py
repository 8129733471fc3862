"""What makes reading slow, for tests that look at it while it goes on."""
