"""What a person gets of their data: the form of the file, and nothing about where it comes from."""
