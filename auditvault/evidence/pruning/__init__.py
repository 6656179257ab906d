"""Pruning: giving up the beginning of a log, with its proofs kept."""
