"""What applications send: decoded, sealed and appended."""
