"""What may vary: the named search spaces. `python -m study.run --list-spaces` prints them."""
