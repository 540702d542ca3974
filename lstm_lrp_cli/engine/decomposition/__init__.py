"""Contextual decomposition: each value in parts, through cells and graphs."""
