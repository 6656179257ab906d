"""Admin records: what befell or was done to the service itself, in logs of kind `admin`."""
