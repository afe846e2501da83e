"""A store of small images: what streamed sets are read from, instead of their originals.

small_image  from an image to its small file: size, encoding, seal
image_store  the files of a store: where each lies, which are missing or damaged, how one is made
store_choice whether a study has a store, and how large its images are
inventory    the stores under a data root
store_cost   what a store will take, from a timed sample
"""
