"""What is built from the repository, and what of it arrives elsewhere."""
