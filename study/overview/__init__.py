"""How studies stand, read from their folders without Optuna: a driver may work in them, or have died there.

driver        the process that holds a study, and whether it is alive
runs_done     what study.db holds: runs by phase, what runs now, the best so far
study_state   how one study stands, from its manifest, study.db and driver
text          studies and one study as text for a terminal
"""
