"""Statistics of sequences of numbers and tokens, in bounded memory."""
