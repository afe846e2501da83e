"""The sections of the report; each turns a study into a document.Section and writes its files.

    confirmation/   the ladder, the primary comparisons, subsets, tuned baselines, winner's curse
    training_length learning curves, entries that still climb, gains at a longer training
    classes         which classes gain, by class and by group
    class_figures   gains and recalls by class as figures
    class_errors    errors and feature distances by group of classes
    knobs/          the space, the importances, slices, pairs and interactions
    ablation        what each setting and each part of best1 buys
    recommendation  what to use
    search          how the search went, the front, the failures
    health          whether the search can be trusted
    setup           the teacher and the provenance

The order of the sections on the page is one tuple in analysis/report.py. A new figure touches three files: its numbers
(search/ or results/), its drawing (figures/), its section.
"""
