"""People, tenants and tokens, in the control database. No data of a data subject is here."""

from __future__ import annotations

import uuid

from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.db import models


class User(AbstractUser):
    """A member of staff. Rights on a tenant's region come from django-guardian, per object."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)


class Tenant(models.Model):
    """An organisation whose interactions are recorded."""

    tenant_id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    slug = models.SlugField(max_length=63, unique=True)
    name = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)


class TenantRegion(models.Model):
    """A tenant in one region: what roles are granted on."""

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="regions")
    region = models.SlugField(max_length=31)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "region"], name="one_row_per_tenant_region")
        ]
        default_permissions = ()
        # One permission a role: see core.policy.access for what each role may do.
        permissions = [
            ("viewer", "May see headers"),
            ("engineer", "May see headers and redacted text"),
            ("investigator", "May see content for a purpose"),
            ("auditor", "May see headers, proofs and access records"),
            ("examiner", "As an auditor, from outside and for a time"),
            ("privacy_operator", "May prepare erasures"),
            ("privacy_officer", "May approve erasures, grants and exports"),
            ("records_manager", "May propose policies"),
            ("legal", "May place holds, and approve policies and grants"),
            ("key_custodian", "May manage keys"),
            ("security_admin", "May give roles"),
            ("log_admin", "May say where the log goes"),
            ("platform", "Runs servers and databases"),
        ]


class ApiToken(models.Model):
    """A machine's credential: stored hashed, scoped to one tenant, some regions and some roles."""

    public_id = models.CharField(max_length=16, unique=True)
    secret_hash = models.BinaryField(max_length=32)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="tokens")
    regions = ArrayField(models.CharField(max_length=31))
    roles = ArrayField(models.CharField(max_length=31))
    description = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(regions__len__gt=0), name="token_has_a_region"
            ),
            models.CheckConstraint(condition=models.Q(roles__len__gt=0), name="token_has_a_role"),
        ]
