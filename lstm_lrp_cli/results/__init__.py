"""What `lrp explain` wrote, read back."""
