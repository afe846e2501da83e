"""The old path of `students.timm_models`: the JSON files of models exported before the move tell users to import it.

The name is resolved when the module is imported, so that no ground module depends on `students`.
"""

import sys
from importlib import import_module

sys.modules[__name__] = import_module("trainables.cckd.students.timm_models")
