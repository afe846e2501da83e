"""Which point is tried next, and which trial is stopped."""
