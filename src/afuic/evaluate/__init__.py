"""Measures of what a model is worth and what it still knows, and the document they are written to."""
