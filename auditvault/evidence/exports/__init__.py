"""Exports: what somebody takes away of the records, encrypted to them and to nobody else."""
