"""How much of the Python and the Cython sources the suite runs (`make coverage`)."""
