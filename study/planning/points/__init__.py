"""Points of a search space that the user brings: to be trained first (--points), or as evidence (study.ingest).

knob_values     a knob's value from a text or a number, and what is wrong with a point
csv_rows        the rows of a CSV file
points_file     the file of --points
foreign_trials  trials of other tools as they stand there
ingestion       which of them are evidence, and why the others are not
evidence_file   the file of study.ingest, which --warm-start reads
"""
