"""A corpus explained as it flows: windows, batches, questions, explanations, in order."""
