"""auditvault: a compliance-grade audit log and privacy vault for AI systems."""

__version__ = "0.1.0"
