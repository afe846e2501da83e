"""The phases of a study, in order."""
