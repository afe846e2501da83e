"""Names that vulture must not report as unused: only a library, a template or a test reads them."""

from types import SimpleNamespace

_ = SimpleNamespace()

# Ray Tune calls these methods of trainables, searchers, schedulers and callbacks, and names their parameters.
_.setup, _.reset_config, _.on_trial_add, _.on_trial_result, _.on_trial_error, _.on_step_end
_.iteration, _.checkpoint_path
# Functions of Ray that the study replaces by its own, with their parameters.
_.print_to_stdstream, _.ignore_prefix, _.callbacks, _.start_monitor, _.start_api_server
# Optuna calls these methods of storages and studies, and names their parameters.
_._set_trial_param_without_commit, _.previous_distribution, _.delete_study, _._get_trials, _.use_cache
_.set_trial_param, _.set_trial_state_values, _.set_trial_system_attr
# The standard library calls these: logging.Handler and pickle.Unpickler.
_.handleError, _.find_class
# Python asks a module for names that it lacks: study.run_study, study.__version__.
_.__getattr__
# pydantic reads the settings of a model.
_.model_config
# timm reads a module's default_cfgs, and its ResNets apply maxpool.
_.default_cfgs, _.maxpool
# asdict() reads these fields: the manifest's groups and a cache folder's key.
_.tercile_high, _.tercile_middle, _.tercile_low, _.teacher_sha256, _.views_sha256
# The report's templates print it.
_.subtitle
# The user's API: the report prints a line of Python that calls it.
_.load_model
# A row of the probe's path; it is kept with the fit, and tests read it.
_.val_accuracy
# numpy reads it: an array that several trials share.
_.writeable
# Tests stop a command as Ctrl-C does.
_.interrupt
