"""Students: built, and exported."""
