"""Which point is tried next, which trial is stopped, and what is optimised. Optuna only, no Ray.

samplers         the registry of samplers; a new one is one row
space_filling    samplers that do not learn: one point, a Sobol sequence, a grid
pruners          the registry of pruners, and why one stopped a trial
objectives       one objective or two, the front and its knee
guards           what a better mean must not cost
stopping         when a search ends before its last trial
search_settings  SearchSettings, which study.db keeps, and the sampler and pruner that they name
evidence         a trial of another study, as a sampler sees it
sampler_view     the search as a sampler sees it, with guards and evidence
optuna_private   every private name of Optuna that we use
"""
