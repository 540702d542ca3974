"""The options of commands, in groups: what they are called, and what they come to."""
