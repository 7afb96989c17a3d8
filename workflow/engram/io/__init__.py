"""Files and errors: artifacts that are whole or absent, checksums, HDF5, tensors, finished work,
streams, hashes, packed maps."""
