"""Roles of a tenant's own making. Held like the fixed ones: by a permission on the tenant's region."""

from __future__ import annotations

import uuid

from django.contrib.auth.models import Permission
from django.contrib.postgres.fields import ArrayField
from django.db import models

from auditvault.access.models import Tenant


class CustomRole(models.Model):
    """A name and what it allows. A retired name is kept, so that no record comes to mean another role."""

    role_id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="custom_roles")
    name = models.CharField(max_length=24)
    acts = ArrayField(models.CharField(max_length=31))
    # Of `TenantRegion`, and this role's alone: another tenant's role of the same name has another.
    permission = models.OneToOneField(Permission, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    retired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "name"], name="one_role_of_a_name"),
            models.CheckConstraint(
                condition=models.Q(acts__len__gt=0), name="custom_role_allows_something"
            ),
        ]
