"""Results as files and on the terminal: one file an output, listed in `outputs`."""
