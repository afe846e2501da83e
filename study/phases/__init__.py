"""The phases of a study in order, and the session that runs them.

drive         the whole way of a study: teacher, courses, tables
courses       which phases follow one another in the same workers
state         a study while its phases run
session       from a checked study to an exit code
precision     the number format of the students, where timed steps decide it
search        the search
selection     the choice of the winner by fresh runs
baselines     search and selection for tuned baselines
confirmation  finalists and ladder on the test set
longer_runs   entries of the confirmation at a longer training
ablation      best1 without each setting and each part
changes       what the ablation changes
reruns        runs on fresh seeds, for the selection and the phases after it
"""
