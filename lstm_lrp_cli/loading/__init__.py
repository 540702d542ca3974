"""From files to a model: one file a format, the mapping, what is inferred, the vocabulary."""
