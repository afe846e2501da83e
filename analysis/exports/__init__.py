"""The formats of `analysis.export`. A new export is one module and one row of the registry.

    registry     name -> function, description, optional package
    tidy         Parquet with a data dictionary
    dashboard    notes and figures in study.db for optuna-dashboard
    mlflow_runs  MLflow runs
    tensorboard  TensorBoard event files
    wandb_runs   offline W&B runs
    summary      the content that exports share

A package that only one export needs is imported inside its function.
"""
