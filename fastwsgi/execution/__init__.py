"""Ways to run the application that need more than the standard library. Imported only where configured."""
