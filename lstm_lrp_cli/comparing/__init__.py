"""Two models, methods or files of results, compared on the same sequences."""
