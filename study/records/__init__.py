"""study.db and the study folder: how results are stored, and how they are read again.

connection      the one connection to study.db, and its transactions
creation        making a study.db, and refusing one that cannot be used
cached_storage  Optuna's trials of one search in memory, written through to study.db
run_tables      our own tables in study.db: epochs, selection runs, confirmation runs, attempts
rerun_names     names of the runs of the later phases
trial_rows      plain rows of trials
search_reader   one search of study.db, to be read
ledger          one search of study.db, to be written
notes           notes beside the search, for exports
store           the study folder and its manifest
csv_tables      the published tables
run_log         the study's log file
"""
