"""Whether the vault of a region can be opened now, for `/readyz`."""

from __future__ import annotations

from django.db import connections

from auditvault.ledger.scope import keys_alias
from auditvault.vault.providers.of_region import has_provider, health_of


def key_provider_health(region: str) -> str | None:
    """`ok`, or the code of what is wrong with the provider under the newest region key.

    None where this process has no provider, or no key was made yet. The answer is up to 30 seconds old.
    """
    if not has_provider(region):
        return None
    with connections[keys_alias(region)].cursor() as cursor:
        cursor.execute("SELECT key_ref FROM keyring_region_key ORDER BY epoch DESC LIMIT 1")
        row = cursor.fetchone()
    return health_of(region, row[0]) if row and row[0] else None
