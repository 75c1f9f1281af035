"""Images that are rendered offline: sprites, their variants, blobs."""
