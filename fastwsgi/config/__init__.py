"""The configuration room: what can be set, where values come from, which application is meant."""
