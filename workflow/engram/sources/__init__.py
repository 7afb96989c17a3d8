"""Sources: where a study's windows come from, other than the nursery.

`hub` reads the paper's data, `table` the user's windows, `corpus` cuts windows from the user's
documents. Each writes one parquet file of windows in row groups, so that memory does not grow with
the number of rows; every value is checked on the way, and a bad one ends the job with the file and
the row.
"""
