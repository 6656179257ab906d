"""What a SCIM client made. Names and addresses of staff are here and nowhere else; no data of a data subject is."""

from __future__ import annotations

import uuid

from django.contrib.auth.models import Group
from django.db import models

from auditvault.access.models import Tenant, User


class ScimClient(models.Model):
    """An identity provider of one tenant: it sees what it made, and no other user or group."""

    public_id = models.CharField(max_length=16, unique=True)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="scim_clients")
    description = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)


class ScimSecret(models.Model):
    """One of a client's secrets; two live during an overlap."""

    client = models.ForeignKey(ScimClient, on_delete=models.CASCADE, related_name="secrets")
    secret_hash = models.BinaryField(max_length=32)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True, blank=True)


class ScimUser(models.Model):
    """A user as the client knows it. A deleted one is kept for its account: who comes back is the same human."""

    scim_id = models.UUIDField(unique=True, default=uuid.uuid4)
    client = models.ForeignKey(ScimClient, on_delete=models.PROTECT, related_name="users")
    account = models.OneToOneField(User, on_delete=models.PROTECT, related_name="+")
    user_name = models.CharField(max_length=254)
    # As it is compared: userName is not case-exact (RFC 7643 section 4.1.1).
    user_name_key = models.CharField(max_length=600)
    external_id = models.CharField(max_length=254, blank=True)
    profile = models.JSONField(default=dict)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField()
    changed_at = models.DateTimeField()
    deleted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["client", "user_name_key"], name="one_user_of_a_name_for_a_client"
            )
        ]


class ScimGroup(models.Model):
    """A group as the client knows it. What it gives are `group`'s permissions."""

    scim_id = models.UUIDField(unique=True, default=uuid.uuid4)
    client = models.ForeignKey(ScimClient, on_delete=models.PROTECT, related_name="groups")
    # Holds the members that are active: who is not has nothing by it.
    group = models.OneToOneField(Group, on_delete=models.PROTECT, related_name="+")
    display_name = models.CharField(max_length=254)
    external_id = models.CharField(max_length=254, blank=True)
    # Inactive ones, too.
    members = models.ManyToManyField(ScimUser, related_name="memberships")
    created_at = models.DateTimeField()
    changed_at = models.DateTimeField()
