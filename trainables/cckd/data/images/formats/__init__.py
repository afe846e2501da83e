"""The formats that a study reads, checked without decoding.

limits  what no study can use: the error, and the largest image
header  size and mark of an image file, whatever its format
jpeg    segments, frame and scans (ITU-T T.81)
png     chunks, their checksums and the compressed pixels (ISO/IEC 15948)
webp    the chunks of a still image (RFC 9649)
seal    the checksum in a small file of an image store
"""
