"""study.db and the study folder."""
