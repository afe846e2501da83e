"""Sets of images and what is read from their files.

sets            labelled sets, and an entry of the registry
image_files     images that stay in their files
decoded_images  images decoded once into memory
memory_choice   whether a set is decoded once or streamed
formats         what JPEG, PNG and WebP files must be, checked without decoding
scan            size and mark of each file of a set; unusable files
views, crops    augmented views as boxes: of arrays, of files
view_rule       how the views of a set are drawn
decode          from a file or decoded bytes to the pixels of a view
decoders        the processes that decode, shared by all streams of a process
decoder_process  what runs in one of them
view_stream     views decoded ahead of their use; whole sets decoded once
"""
