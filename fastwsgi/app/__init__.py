"""The server inside a program, by the classes that gunicorn has for it."""
