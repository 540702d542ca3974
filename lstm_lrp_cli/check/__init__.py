"""`lrp check` and `lrp match`: is the model read right, and is relevance conserved?"""
