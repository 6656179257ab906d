"""The transparency log's formats and proofs: entry, Merkle tree, tiles, checkpoint, receipt."""
