"""Reports for auditors and for people about whom there are records: made in one snapshot, recorded, then given out."""
