"""Write-once copies of the logs in an object store with object lock, or in a directory (docs/spec/copies.md)."""
