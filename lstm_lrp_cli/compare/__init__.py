"""`lrp compare`: two explanations of the same sequences, in bounded memory."""
