"""From an input to an output and a report, block by block, process by process."""
