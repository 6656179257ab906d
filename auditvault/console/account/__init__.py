"""Pages about a person's own account: second factors, passkeys, password, invitation."""
