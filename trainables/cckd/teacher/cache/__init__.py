"""The teacher's features on disk."""
