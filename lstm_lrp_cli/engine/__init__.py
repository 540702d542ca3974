"""The NumPy engine: forward pass, rules, relevance. No I/O; imports NumPy and `model` alone."""
