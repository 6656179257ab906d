"""What is kept about rights beside the rights themselves, which are django-guardian's rows and tokens."""

from __future__ import annotations

from django.db import models
from guardian.models import UserObjectPermission

from auditvault.access.models import ApiToken, Human, Tenant, User


class RoleEnd(models.Model):
    """When a role that an account holds ends by itself; from then on it counts for nothing. Gone with the role."""

    held = models.OneToOneField(UserObjectPermission, on_delete=models.CASCADE, related_name="+")
    ends_at = models.DateTimeField()


class Member(models.Model):
    """An account that a tenant knows: whoever gives roles on the tenant sees it, and no other."""

    account = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="members")
    admitted_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "tenant"], name="known_once_to_a_tenant")
        ]


class TokenSuccessor(models.Model):
    """The token that took another's place. There is one at most, so that a secret is not multiplied."""

    old = models.OneToOneField(ApiToken, on_delete=models.CASCADE, related_name="+")
    new = models.OneToOneField(ApiToken, on_delete=models.CASCADE, related_name="+")


class FormerHuman(models.Model):
    """An id under which a human was known before it was found that two were one. Never anybody's again."""

    former = models.OneToOneField(Human, on_delete=models.PROTECT, related_name="+")
    human = models.ForeignKey(Human, on_delete=models.PROTECT, related_name="former_ids")
