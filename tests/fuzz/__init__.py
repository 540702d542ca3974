"""A campaign of damaged and hostile files: `python -m tests.fuzz --minutes 10`."""
