"""The server against other parsers: what it accepts, they must read the same way."""
