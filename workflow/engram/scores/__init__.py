"""Scores of classifiers, with intervals, comparisons and tables."""
