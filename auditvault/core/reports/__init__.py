"""Reports: which there are, who may run them, and the form of their files. Pure."""
