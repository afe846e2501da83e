"""The old path of `students.timm_models`: the JSON of models exported before the move tells users to import it."""

from trainables.cckd.students.timm_models import *  # noqa: F403
