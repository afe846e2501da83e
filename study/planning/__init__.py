"""What a study will do, judged before anything starts or is written. No Ray; torch only where a flag needs it.

flags         a flag derives from a field: the parser's entry, the reader of its text
plan          StudyPlan: every choice with its type, default, bounds and help
parser        the parsers of the commands
readers       flags that are more than one word or number: --set, --guard, --objectives, devices, precision, folders
cores         the processor cores that this process may use
spaces        the search space that --space names, and the spaces of tuned baselines
tail_subsets  other cuts of the long tail (--data-seeds)
warm_start    trials of another study, for the sampler of this one (--warm-start)
checked       Checked: a study that can start
check         from parsed arguments to a Checked study, or to all faults at once
config_file   the flags of a study as one YAML file, which --config reads
manifest      study.json: its first content, and a Checked study from it again
points        points of the space that the user brings (--points, study.ingest)
preview       what is told of a study before it starts
"""
