"""Break-glass: content of one case at once, without a grant, for an hour (docs/spec/break-glass.md)."""
