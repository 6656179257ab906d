"""Personal data in contents: what finds it, and the workers that look for it."""
