"""Statistics over results: which tokens speak for which class, and where it goes wrong."""
