"""How trials are run and kept: the commands, the study engine, the study folder.

Commands (`python -m study.<name>`, or `cckd-study <name>`):
  run           start a study and see it through to its report
  resume        continue a study after any end, or extend it
  confirm       confirm more trials, on more seeds or more cuts, or at a longer training
  ablate        train best1 without each setting and each part, to see what they buy
  status        say how a study stands, or every study in a folder
  replay        train one trial again and compare it with its record
  cache         look after the teacher's cached features, and stores of small images
  ingest        results of other tools as evidence for a warm start
  main          the console script `cckd-study`, which starts all of them

Packages, the later ones built on the earlier ones:
  terminal      what the user sees and presses: faults, progress, Ctrl-C, how commands are spelled
  strategy      which point is tried next, which trial is stopped, what is optimised
  records       study.db and the study folder
  measured      what was timed on a kind of machine, kept for later studies
  planning      the plan, and the judgement of it before anything starts
  execution     Ray: the only package of study that imports it
  teacher       the teacher's pass on the workers
  phases        search, selection, baselines, confirmation, longer runs, ablation
  overview      how studies stand, read from their folders
  entry         what a command does before its own work

Modules: `schema` (every published column), `lock` (one driver per study).

In a notebook, `study.run_study` starts a study; `study.__version__` is the installed version.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from study.run import run_study as run_study


def __getattr__(name: str) -> Any:
    """Import what a notebook asks for only then: `import study` loads nothing."""
    if name == "run_study":
        from study.run import run_study

        return run_study
    if name == "__version__":
        from study.terminal.command_line import version

        return version()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
