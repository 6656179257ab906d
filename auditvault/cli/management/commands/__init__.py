"""One module a command; each parses, calls one service and answers."""
