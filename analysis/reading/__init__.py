"""A study folder as data."""
