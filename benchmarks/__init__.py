"""Speed against what a user would write and against the student alone; `python -m benchmarks.run` runs all of it.

ablations            ablations whose truth is known, for calibration
agreement            whether two studies of one question agree within their errors
bare                 the bound of an epoch: the student's own forward, backward and step
bare_decoder         what any loader must do for a view, by torchvision alone
calibration          whether the report's statistics keep their promises
careful_optuna       the same search in a script that a careful user would write
claims               confirmations without a gain, for calibration
driver               what the driver does per trial
early_epochs         whether an early epoch says which trial will be good
emulator             a response surface as a function, with its noise and its curves
epoch                an epoch against that bound
goals                what was measured against what was aimed at
idle_study           a study for trials that train nothing
image_scan           what the scan of an image file costs
large_fit            a large set from its features to its first trial, killed on the way
length_tables        the tables of training_length
looks                what ending a search early does to its answers
memory               what four trials at once take more than one
occupancy            a search against its students' own compute
page                 writes the tables of docs/performance.md
peer_script          the same search in the style of Ray Tune's documentation
plain_optuna         the same search by study.optimize alone
planted              how often a knob is named that makes up so much of the variance
precision            bfloat16 against float32
probe_fit            a large probe against the fit of every view
profile              where a second of training goes
published_baselines  published figures of CE and LA, reproduced
record               results as JSON under the name of the hardware
regret               epochs until a search is nearly as good as any, per tool
report_time          seconds and memory of a report
response_surface     real trainings of points spread over a space
run                  the whole bench
same_numbers         two commits, compared to the last bit
search_quality       which design of a search finds what matters
searches             searches whose truth is known, for calibration and surfaces
seeds                two ways of training on the same seeds
shapes               trial data of a real set's shapes, random content
sharing              how many trials should share a GPU
simulated_features   features of a long tail, with all that makes a fit hard
simulated_study      a study of them, by the product's own commands
small_images         what encodings of small images keep and cost
soak                 kills and signals at any time
start                seconds from command to first step
step_gains           how many times as fast a step is in bfloat16 here
streamed_trial       one trial that streams an epoch, and its memory
streaming            streaming against the bare decoder, from originals and from the image store
students             students trained side by side, for other benchmarks
study_wall           a study against the searches a user would write
surface_truth        what those trainings say of knobs, and what forty of them show
surfaces             the surrogate against other models, and against the brightest cell
targets              out-of-fold against in-fold teacher targets
time_budget          --max-hours on a machine that becomes slow
timing               contenders that take turns
training_length      when a rung is trained out
turnover             what is lost between two trials, and between two phases
"""
