"""The process room: the master that forks, watches and replaces, and the worker that serves."""
