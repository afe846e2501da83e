"""The teacher: which one (spec), its frozen backbone, features and their cache, the probe, its prior, and all
in one module.

`spec`, `cache`, `probe` and `prior` need no torch; `backbone`, `features` and `forward` do, so nothing is
imported here.
"""
