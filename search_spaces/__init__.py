"""What may vary: the named search spaces. `python -m study.run --list-spaces` prints them.

registry   every named space, and the space of a name
acckd      the spaces of the method itself
baselines  one space per rung below it
own        the space of a user's own method
rivals     one space per method of another paper
knobs      the searched knobs, one row each
knob       a searched knob and its condition
space      a search space
corners    the points at which a fault of one of its values shows
faults     what can be wrong with one
from_file  a user's space from a YAML file
yaml_text  YAML as plain data

A Python module with a user's own space imports the names below from here.
"""

from search_spaces.knob import Condition, Knob, SpaceError
from search_spaces.registry import get_space, list_spaces
from search_spaces.space import SearchSpace

__all__ = ["Condition", "Knob", "SearchSpace", "SpaceError", "get_space", "list_spaces"]
