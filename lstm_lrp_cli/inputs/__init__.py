"""From inputs to batches: readers, tokens, padding, and sequences packed by length."""
