"""A session's pictures: numbers, tiles, pages sent as images, and how the page shows them."""
