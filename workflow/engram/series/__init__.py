"""Series of models: one architecture and corpus in several sizes, compared as families."""
