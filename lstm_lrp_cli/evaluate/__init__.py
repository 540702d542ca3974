"""`lrp evaluate`: methods compared by deletion, insertion, agreement, sensitivity and time."""
