"""Summaries of results to files and terminal."""
