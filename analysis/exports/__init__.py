"""One file a place a study can be taken to; each writes what `analysis.reading.study_data.Study` holds, in that place's own terms.

tidy: Parquet with a data dictionary; dashboard: notes and figures in study.db itself; mlflow_runs, tensorboard,
wandb_runs: a run a trial. `summary` is what they share. Packages that are not ours are imported when asked for.
"""
