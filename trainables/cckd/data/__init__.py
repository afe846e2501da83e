"""Data sets, from the name on the command line to three sets of images.

spec      NAME[:key=value,...] and its options
registry  the table of data sets
load      find, split, cut the long tail, scan
splits    where D_val comes from
shared_images  images that two sets share
file_record  the image files of a study, to tell lost files from changed ones
sources   one module per data set, and the formats and downloads they need
store     small images that streamed sets are read from
images    sets of images, views, decoding
"""
