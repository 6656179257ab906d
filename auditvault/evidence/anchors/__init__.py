"""Anchors: what outsiders say about the logs' checkpoints. Time stamps (RFC 3161) so far."""
