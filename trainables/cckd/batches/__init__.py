"""What each step of an epoch sees."""
