"""Floor 1: epoll, sockets and time. Nothing here knows HTTP."""
