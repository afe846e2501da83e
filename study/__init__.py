"""How trials are run and kept: the command lines, the study engine, the study folder."""
