"""Tokens are made, rotated and revoked by whoever gives roles there, each an entry, and no secret is seen twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from auditvault.core.policy.roles import AccessDeniedError
from auditvault.core.policy.separation import SeparationError
from tests.integration.access.meeting import together

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


@pytest.fixture
def admin(account):
    return account("security_admin")


@pytest.fixture
def maker(access, admin, credential_of):
    """The security admin of `eu`, as somebody who makes tokens."""
    return access.machine_tokens.maker_of(credential_of(admin), NOW)


@pytest.fixture
def make(access, tenant):
    def create(*roles, regions=("eu",), of=tenant, **how):
        return access.machine_tokens.create_machine_token(
            tenant=access.tokens.tenant_of(of.slug),
            regions=regions,
            roles=roles or ["ingest"],
            lifetime=30 * DAY,
            now=NOW,
            **how,
        )

    return create


@pytest.fixture
def rotate(access):
    def turn(made, *, overlap=DAY, now=NOW, **how):
        return access.machine_tokens.rotate_token(
            public_id=made.public_id, overlap=overlap, now=now, **how
        )

    return turn


@pytest.fixture
def works(access):
    def ask(made, *, at=NOW):
        try:
            access.tokens.authenticate(made.token, now=at)
        except access.tokens.TokenInvalidError:
            return False
        return True

    return ask


def test_a_token_is_recorded_in_each_of_its_regions(make, recorded, maker, admin):
    made = make(maker=maker)
    both = make(regions=("eu", "us"))

    assert [said["token"] for said in recorded("token.created")] == [
        f"token:{made.public_id}",
        f"token:{both.public_id}",
    ]
    assert [said["token"] for said in recorded("token.created", region="us")] == [
        f"token:{both.public_id}"
    ]
    assert recorded("token.created")[0]["actor"] == f"user:{admin.public_id.hex}"


def test_no_secret_is_stored_or_recorded(access, make, recorded, tenant):
    made = make()
    secret = made.token.split("_", 2)[2]

    assert secret not in str(recorded("token.created"))
    assert secret not in str(access.machine_tokens.tokens_in(tenant.tenant_id))


def test_a_rotated_token_lives_on_for_the_overlap_and_no_longer(make, rotate, works, recorded):
    old = make()

    new = rotate(old)

    assert works(new)
    assert works(old, at=NOW + DAY - timedelta(seconds=1))
    assert not works(old, at=NOW + DAY)
    (said,) = recorded("token.rotated")
    assert (said["token"], said["successor"]) == (
        f"token:{old.public_id}",
        f"token:{new.public_id}",
    )


def test_the_new_token_has_the_same_scope(access, make, rotate):
    old = make("viewer", "engineer", regions=("eu", "us"), description="nightly job")

    new = rotate(old)

    before, after = (access.tokens.authenticate(each.token, now=NOW) for each in (old, new))
    assert (before.roles, before.regions, before.tenant_id) == (
        after.roles,
        after.regions,
        after.tenant_id,
    )


def test_an_overlap_does_not_lengthen_a_life(access, make, rotate, works):
    old = make()
    end = NOW + 30 * DAY
    rotate(old, overlap=7 * DAY, now=end - timedelta(seconds=1))

    assert not works(old, at=end)


@pytest.mark.parametrize("overlap", [-timedelta(seconds=1), 7 * DAY + timedelta(seconds=1)])
def test_an_overlap_has_seven_days_at_most(access, make, rotate, overlap):
    with pytest.raises(access.machine_tokens.TokenOverlapError):
        rotate(make(), overlap=overlap)


def test_a_token_is_rotated_once(access, make, rotate):
    old = make()
    rotate(old)

    with pytest.raises(access.machine_tokens.TokenNotLiveError):
        rotate(old)


def test_of_two_rotations_at_once_one_comes(make, rotate, recorded):
    old = make()

    results = together(lambda: rotate(old), lambda: rotate(old))

    assert sorted(type(found).__name__ for found in results) == ["NewToken", "TokenNotLiveError"]
    assert len(recorded("token.rotated")) == 1


def test_a_dead_token_is_not_rotated(access, make, rotate):
    revoked, expired = make(), make()
    access.machine_tokens.revoke_known_token(public_id=revoked.public_id, now=NOW)

    with pytest.raises(access.machine_tokens.TokenNotLiveError):
        rotate(revoked)
    with pytest.raises(access.machine_tokens.TokenNotLiveError):
        rotate(expired, now=NOW + 31 * DAY)


def test_a_revoked_token_is_dead_at_once_and_recorded_once(access, make, works, recorded):
    made = make(regions=("eu", "us"))

    for _ in range(2):
        access.machine_tokens.revoke_known_token(public_id=made.public_id, now=NOW)

    assert not works(made)
    for region in ("eu", "us"):
        assert len(recorded("token.revoked", region=region)) == 1


def test_revoking_does_not_wait_for_a_log_and_is_recorded_later(
    access, make, works, recorded, admin_log_closed
):
    made = make(regions=("eu", "us"))

    with admin_log_closed("us"), pytest.raises(Exception, match="permission denied"):
        access.machine_tokens.revoke_known_token(public_id=made.public_id, now=NOW)

    assert not works(made)
    assert recorded("token.revoked", region="us") == []
    access.machine_tokens.revoke_known_token(public_id=made.public_id, now=NOW)
    assert len(recorded("token.revoked", region="us")) == 1
    assert len(recorded("token.revoked")) == 1


def test_a_token_that_cannot_be_recorded_is_not_made(access, make, tenant, admin_log_closed):
    with admin_log_closed(), pytest.raises(Exception, match="permission denied"):
        make()

    assert access.machine_tokens.tokens_in(tenant.tenant_id) == []


def test_a_crash_after_the_entry_of_a_rotation_leaves_the_old_token(
    access, make, rotate, works, monkeypatch
):
    old = make()

    def crash(*_args, **_kwargs):
        raise SystemError

    monkeypatch.setattr(access.tokens.TokenDraft, "issue", crash)
    with pytest.raises(SystemError):
        rotate(old)

    assert works(old, at=NOW + 29 * DAY)
    monkeypatch.undo()
    assert works(rotate(old))


def test_a_token_is_made_where_one_gives_roles_alone(make, maker):
    with pytest.raises(AccessDeniedError):
        make(regions=("eu", "us"), maker=maker)


@pytest.mark.parametrize("role", ["engineer", "investigator", "auditor"])
def test_who_gives_roles_makes_no_token_that_would_be_too_much_for_them(make, maker, role):
    with pytest.raises(SeparationError):
        make(role, maker=maker)


def test_who_gives_roles_does_not_get_at_such_a_token_by_rotating_it(
    access, make, rotate, maker, works
):
    old = make("investigator")

    with pytest.raises(SeparationError):
        rotate(old, maker=maker)
    assert works(old, at=NOW + 2 * DAY)


def test_a_token_of_another_tenant_or_region_is_not_found(
    access, make, rotate, maker, other_tenant, tenant, works
):
    theirs, elsewhere = make(of=other_tenant), make(regions=("eu", "us"))

    for made in (theirs, elsewhere):
        where = {"tenant_id": tenant.tenant_id, "maker": maker}
        with pytest.raises(access.machine_tokens.TokenNotFoundError):
            rotate(made, **where)
        with pytest.raises(access.machine_tokens.TokenNotFoundError):
            access.machine_tokens.revoke_known_token(public_id=made.public_id, now=NOW, **where)
        assert works(made)


def test_a_persons_token_has_what_the_person_has_and_is_never_strong(access, make, account):
    user = account("viewer")

    made = make("viewer", person=user)

    credential = access.tokens.authenticate(made.token, now=NOW)
    assert (credential.human, credential.strong_until) == (user.human_id, None)
    with pytest.raises(access.tokens.TokenRequestError):
        make("engineer", person=user)


def test_a_persons_token_is_not_rotated_by_somebody_else(
    access, make, rotate, account, maker, tenant
):
    made = make("viewer", person=account("viewer"))

    with pytest.raises(access.machine_tokens.TokenNotFoundError):
        rotate(made, maker=maker, tenant_id=tenant.tenant_id)
