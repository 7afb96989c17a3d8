"""Figures: each function takes tables or arrays and returns a matplotlib Figure; `style.save`
writes it.
"""
