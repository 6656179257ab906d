"""Django settings: `base` holds everything, `dev`, `test` and `production` say what differs."""
