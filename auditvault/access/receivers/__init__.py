"""Who hears of a tenant's alerts, and how: webhooks, and people by their roles. In the control database."""
