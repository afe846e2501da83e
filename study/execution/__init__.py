"""Ray: how a study's trials run. No other package of `study` imports Ray.

cluster          which Ray a study uses: a private one of its own, or a cluster that it joins
nodes            the check of every cluster node before the first trial
workers          the Ray session, and how many trials fit the cluster
tasks            tasks, actors, and objects beside the trials
tuner            every argument of Ray Tune; runs the trials of a course
course           phases that follow one another in the same workers; the one searcher and scheduler that Ray sees
searchers        of a phase: they hand out trials, judge their results, and record how they ended
hang_watchdog    kills the worker of a trial that reports nothing
attempts         the attempts that run now; shared by searchers, scheduler, and watchdog
failure_budget   how many failures a study allows, and what counts as a crash loop
failure_causes   the cause of a failure, read from Ray's error text
ray_private      every private name of Ray that we use

searchers, course, tuner, and tasks import Ray at the top. The other modules import Ray inside their functions: the
import takes a second, and a command that refuses its arguments should not wait for it.
"""
