"""The named search spaces; `python -m study.run --list-spaces` prints them."""

from search_spaces import acckd, baselines, own, rivals
from search_spaces.knob import SpaceError
from search_spaces.space import SearchSpace


def list_spaces() -> tuple[SearchSpace, ...]:
    """Return every named space, the method's own first."""
    return (*acckd.SPACES, *baseline_spaces())


def baseline_spaces() -> tuple[SearchSpace, ...]:
    """Return the spaces of the methods that can be tuned baselines, one each, under the method's name."""
    return (*baselines.SPACES, *rivals.SPACES, *own.SPACES)


def get_space(name: str) -> SearchSpace:
    """Return the space called `name`.

    Raises:
        SpaceError: there is none; the message lists the names.
    """
    spaces = {space.name: space for space in list_spaces()}
    if name not in spaces:
        raise SpaceError(f"search space must be one of {', '.join(spaces)}; got {name!r}")
    return spaces[name]
