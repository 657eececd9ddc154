"""Applications, hostile and real, in front of the real server process."""
