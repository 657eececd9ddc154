# Nothing for other compiled modules: the one function is called once per worker, from Python.
