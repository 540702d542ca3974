"""`lrp summarize`: statistics over results that were read back, in bounded memory."""
