"""The erasure ledger, what each database knows of it, and a region that waits for it after a restore."""
