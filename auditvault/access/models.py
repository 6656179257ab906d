"""People, tenants and tokens, in the control database. No data of a data subject is here."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.db import models


class Human(models.Model):
    """A human, however many accounts and tokens they have: who is meant where two people are needed."""

    human_id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)


class User(AbstractUser):
    """An account of a member of staff. Rights on a tenant's region come from django-guardian, per object."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    human = models.ForeignKey(Human, on_delete=models.PROTECT, related_name="accounts")

    def save(self, *args: Any, **kwargs: Any) -> None:
        """A new account is a new human's, until somebody says that it is another's."""
        if getattr(self, "human_id", None) is None:
            self.human = Human.objects.create()
        super().save(*args, **kwargs)


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
    # None: a machine's. A human's token counts as the human, and can do no more than they can.
    human = models.ForeignKey(
        Human, on_delete=models.PROTECT, related_name="tokens", null=True, blank=True
    )
    # Until when the token counts as proved by a second factor: it was made in a session that was.
    strong_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(regions__len__gt=0), name="token_has_a_region"
            ),
            models.CheckConstraint(condition=models.Q(roles__len__gt=0), name="token_has_a_role"),
        ]
