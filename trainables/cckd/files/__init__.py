"""Files on disk that are whole and unaltered.

atomic   write a file whole or not at all
digests  SHA-256 of files, arrays and plain values
sealed   JSON that carries its own hash
"""
