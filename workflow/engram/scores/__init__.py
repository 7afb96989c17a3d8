"""Scores of classifiers: metrics, intervals, comparisons and tables."""
