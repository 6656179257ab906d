"""What an auditor takes away: verification of the log, and its schedule."""
