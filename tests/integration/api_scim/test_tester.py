"""Another's checker of SCIM servers finds nothing."""

from __future__ import annotations

# To leave `active` out says nothing of it: nobody is switched on, or off, by a word that is missing.
ON_PURPOSE = "PATCH modify() did not remove attribute 'active'"


def test_scim2_tester_finds_nothing(provider):
    from scim2_client.engines.wsgi import WSGISCIMClient
    from scim2_tester import Status, check_server

    from settings.wsgi import application

    checked = check_server(
        WSGISCIMClient(
            application,
            base_url="http://localhost/scim/v2",
            headers={"Authorization": f"Bearer {provider.token}"},
        )
    )

    bad = [
        f"{each.title} {each.resource_type}: {each.reason}"
        for each in checked
        if each.status not in {Status.SUCCESS, Status.SKIPPED, Status.ACCEPTABLE}
        and each.reason != ON_PURPOSE
    ]
    assert not bad, "\n".join(bad)
    assert len([each for each in checked if each.status is Status.SUCCESS]) > 50
