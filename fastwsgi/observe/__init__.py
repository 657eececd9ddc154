"""The observation room: what the server tells about itself and about the requests it answered."""
