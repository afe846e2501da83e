"""What the confirmation tells."""
