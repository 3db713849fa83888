"""The composition root of the functions that need more than a few lines of it."""
