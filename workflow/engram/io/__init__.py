"""Files and errors: artifacts that are whole or absent, checksums, tensors, streams, hashes, packed
maps."""
