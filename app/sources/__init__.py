"""A session's sources: how they come in, where they stand, and what there is to know of them."""
