"""Data sets that are rendered offline: sprites, their variants, blobs."""
