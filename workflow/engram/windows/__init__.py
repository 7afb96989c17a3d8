"""Labels of windows: ROUGE, templates, duplicates, code, features of the text."""
