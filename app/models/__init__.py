"""Model files on this machine and on their way to it: where they are, fetching them, checking them."""
