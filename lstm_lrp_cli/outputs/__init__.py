"""Explanations and predictions as files, one file a format."""
