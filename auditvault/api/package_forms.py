"""What the endpoints of packages take and give."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from auditvault.api.serializers import StrictSerializer
from auditvault.privacy.packages.ordering import Link
from auditvault.privacy.packages.reading import PackageShown

_PEM = 24_576
_CODE = 200
_STATES = ["waiting", "unknown", "ordered", "failed", "made", "delivered", "forgotten"]
FETCH_PATH = "/api/v1/privacy/packages/fetch"


class OrderRequest(StrictSerializer):
    """The person's own certificate (PEM, RSA); without one a key is made, and its passphrase shown this once."""

    certificate = serializers.CharField(max_length=_PEM, required=False)


class OrderResponse(serializers.Serializer[Any]):
    """What opens the file; null where it is the person's own key."""

    passphrase = serializers.CharField(allow_null=True)


class PackageResponse(serializers.Serializer[Any]):
    """One region's file; `waiting` before it was ordered, `unknown` where that cannot be said."""

    region = serializers.CharField()
    package_state = serializers.ChoiceField(_STATES)
    code = serializers.CharField(allow_null=True)
    tries = serializers.IntegerField()
    contents = serializers.IntegerField(allow_null=True)
    sha256 = serializers.CharField(allow_null=True)
    made_at = serializers.DateTimeField(allow_null=True)
    expires_at = serializers.DateTimeField(allow_null=True)
    delivered_at = serializers.DateTimeField(allow_null=True)


class PackagesResponse(serializers.Serializer[Any]):
    """The files of a request, one for each of its regions."""

    packages = PackageResponse(many=True)


class LinkResponse(serializers.Serializer[Any]):
    """Where the person goes, and the code to bring: shown this once, good for once."""

    path = serializers.CharField()
    code = serializers.CharField()
    expires_at = serializers.DateTimeField()


class FetchRequest(StrictSerializer):
    """The code of a link."""

    code = serializers.CharField(max_length=_CODE)


def link_body(link: Link) -> dict[str, Any]:
    """A link as it is answered."""
    return {"path": FETCH_PATH, "code": link.code, "expires_at": link.expires_at}


def packages_body(shown: list[PackageShown]) -> dict[str, Any]:
    """Files as they are answered."""
    return {"packages": [_package(each) for each in shown]}


def _package(shown: PackageShown) -> dict[str, Any]:
    found = shown.package
    if found is None:
        nothing = dict.fromkeys(PackageResponse().fields)
        state = "waiting" if shown.is_known else "unknown"
        return nothing | {"region": shown.region, "package_state": state, "tries": 0}
    return {
        "region": shown.region,
        "package_state": found.state,
        "code": found.code,
        "tries": found.tries,
        "contents": found.contents,
        "sha256": found.digest.hex() if found.digest else None,
        "made_at": found.made_at,
        "expires_at": found.expires_at,
        "delivered_at": found.delivered_at,
    }
