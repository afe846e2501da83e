"""One module per place a study can be taken to; each writes the loaded study in the terms of that place.

tidy: Parquet with a data dictionary; dashboard: notes and figures in study.db itself; mlflow_runs, tensorboard,
wandb_runs: a run a trial. `summary` is what they share. Packages that are not ours are imported when asked for.
"""
