"""Speed against what a user would write and against the student alone; `python -m benchmarks.run` runs all of it."""
