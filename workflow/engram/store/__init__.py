"""The attention store: pooled maps of every sequence, computed once per model."""
