"""Pickles, read without executing them: the machine, what it makes, NumPy's arrays, joblib's files.

Who reads one gives the machine the functions that it knows; whatever else a pickle asks for is made
of names alone.
"""
