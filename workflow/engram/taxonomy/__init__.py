"""Taxonomies of memorization, and the sample lists that are drawn for them."""
