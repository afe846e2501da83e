"""What the search tells."""
