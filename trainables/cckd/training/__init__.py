"""One trial as an iterator of epoch records."""
