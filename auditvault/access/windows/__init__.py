"""What is counted in windows of time, for all processes of a region."""
