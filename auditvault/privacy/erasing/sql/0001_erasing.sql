-- Requests for erasure carried out (docs/spec/manifest.md, docs/spec/erasure-execution.md). Ids, counts and digests: no
-- name, and nothing of a content but keyed tags, which go with the certificate.

-- In the region that keeps the request: what was frozen, as it was approved.
CREATE TABLE privacy_manifest (
    tenant_id uuid NOT NULL,
    request_id uuid NOT NULL,
    digest bytea NOT NULL,
    body bytea NOT NULL CHECK (sha256(body) = digest),
    frozen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, request_id, digest),
    FOREIGN KEY (tenant_id, request_id) REFERENCES privacy_request (tenant_id, request_id)
);

-- In each region: which objects a manifest means. The verification looks for them one by one; afterwards they are
-- forgotten.
CREATE TABLE privacy_listing (
    tenant_id uuid NOT NULL,
    listing_id uuid NOT NULL,
    request_id uuid NOT NULL,
    home text NOT NULL CHECK (home ~ '^[a-z][a-z0-9_]{0,30}$'),
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, listing_id)
);
CREATE TABLE privacy_listing_object (
    tenant_id uuid NOT NULL,
    listing_id uuid NOT NULL,
    object_id uuid NOT NULL,
    tag bytea NOT NULL CHECK (octet_length(tag) = 32),
    PRIMARY KEY (tenant_id, listing_id, object_id),
    FOREIGN KEY (tenant_id, listing_id) REFERENCES privacy_listing (tenant_id, listing_id) ON DELETE CASCADE
);

-- In each region: how far a request is there. What it is about stands in the manifest, which the region that keeps the
-- request is asked for; nothing here orders anything by itself.
CREATE TABLE privacy_part (
    tenant_id uuid NOT NULL,
    request_id uuid NOT NULL,
    home text NOT NULL CHECK (home ~ '^[a-z][a-z0-9_]{0,30}$'),
    manifest bytea NOT NULL CHECK (octet_length(manifest) = 32),
    state text NOT NULL CHECK (state IN ('ordered', 'held', 'failed', 'done', 'left', 'verified')),
    -- Why it failed: an error's code.
    code text CHECK (code ~ '^[a-z]+(_[a-z0-9]+)*$'),
    -- Legal holds in the way.
    holds uuid[] NOT NULL DEFAULT '{}',
    tries integer NOT NULL DEFAULT 0,
    next_try_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ordered_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Once it is done: objects and keys destroyed, and the records of the erasure ledger that say so.
    destroyed bigint CHECK (destroyed >= 0),
    keys bigint CHECK (keys >= 0),
    idxs bigint[] NOT NULL DEFAULT '{}',
    hashes bytea[] NOT NULL DEFAULT '{}',
    done_at timestamptz,
    -- Once it is verified: objects looked for, rows that were left, contents that opened, subjects that have come since.
    checked bigint CHECK (checked >= 0),
    remaining bigint CHECK (remaining >= 0),
    opened bigint CHECK (opened >= 0),
    arrived bigint CHECK (arrived >= 0),
    verified_at timestamptz,
    CHECK (state NOT IN ('done', 'left', 'verified') OR num_nulls(destroyed, keys, done_at) = 0),
    CHECK (state NOT IN ('left', 'verified') OR num_nulls(checked, remaining, opened, arrived, verified_at) = 0),
    CONSTRAINT nothing_left CHECK (state <> 'verified' OR remaining + opened = 0),
    CHECK (cardinality(idxs) = cardinality(hashes)),
    PRIMARY KEY (tenant_id, request_id)
);
CREATE INDEX privacy_part_due ON privacy_part (next_try_at) WHERE state <> 'verified';

CREATE TABLE privacy_certificate (
    tenant_id uuid NOT NULL,
    request_id uuid NOT NULL,
    certificate_id uuid NOT NULL,
    body bytea NOT NULL,
    issued_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, request_id),
    FOREIGN KEY (tenant_id, request_id) REFERENCES privacy_request (tenant_id, request_id)
);

SELECT auditvault_fence('privacy_manifest', true);
SELECT auditvault_fence('privacy_listing', false);
SELECT auditvault_fence('privacy_listing_object', false);
SELECT auditvault_fence('privacy_part', false);
SELECT auditvault_fence('privacy_certificate', true);
GRANT SELECT ON privacy_manifest, privacy_listing, privacy_listing_object, privacy_part, privacy_certificate
    TO auditvault_app;
GRANT INSERT (tenant_id, request_id, digest, body) ON privacy_manifest TO auditvault_app;
GRANT INSERT ON privacy_certificate TO auditvault_app;

-- What is frozen belongs to a request whose person was identified, and a certificate to one that is being certified.
CREATE FUNCTION privacy_manifest_refuse_early() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM privacy_request AS r WHERE r.tenant_id = NEW.tenant_id AND r.request_id = NEW.request_id
               AND r.state = 'scoped' AND r.manifest = NEW.digest) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a manifest is written with the step that freezes it' USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER refuse_early BEFORE INSERT ON privacy_manifest
    FOR EACH ROW EXECUTE FUNCTION privacy_manifest_refuse_early();
CREATE FUNCTION privacy_certificate_refuse_early() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM privacy_request AS r WHERE r.tenant_id = NEW.tenant_id AND r.request_id = NEW.request_id
               AND r.state = 'certified') THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a certificate is written with the step that certifies' USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER refuse_early BEFORE INSERT ON privacy_certificate
    FOR EACH ROW EXECUTE FUNCTION privacy_certificate_refuse_early();

-- Lists what is there of these subjects, and counts it; an older list of the same request is forgotten.
CREATE FUNCTION privacy_list_objects(p_listing uuid, p_request uuid, p_home text, p_subjects uuid[])
RETURNS TABLE (objects bigint, digest bytea)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    tenant uuid := auditvault_tenant();
BEGIN
    DELETE FROM privacy_listing AS l WHERE l.tenant_id = tenant AND l.request_id = p_request AND l.home = p_home
        AND NOT EXISTS (SELECT FROM privacy_part AS p WHERE p.tenant_id = tenant AND p.request_id = p_request);
    INSERT INTO privacy_listing (tenant_id, listing_id, request_id, home) VALUES (tenant, p_listing, p_request, p_home);
    INSERT INTO privacy_listing_object
        SELECT tenant, p_listing, o.object_id, o.tag FROM vault_object AS o
        WHERE o.tenant_id = tenant AND o.subject_id = ANY (p_subjects);
    RETURN QUERY SELECT count(*), sha256(coalesce(string_agg(uuid_send(k.object_id), ''::bytea ORDER BY k.object_id), ''))
        FROM privacy_listing_object AS k WHERE k.tenant_id = tenant AND k.listing_id = p_listing;
END
$$;

-- Forgets what is listed for a request.
CREATE FUNCTION privacy_forget_listings(p_request uuid) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    WITH gone AS (DELETE FROM privacy_listing WHERE tenant_id = auditvault_tenant() AND request_id = p_request RETURNING 1)
    SELECT count(*) FROM gone
$$;

-- Holds that cover something of these subjects of the transaction's tenant.
CREATE FUNCTION privacy_holds_over(p_subjects uuid[]) RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$ SELECT legal_holds_over_subjects(auditvault_tenant(), p_subjects) ORDER BY 1 $$;

-- Orders a part, or orders it again where it was held, failed, or left something; whether it is ordered by this.
CREATE FUNCTION privacy_order_part(p_request uuid, p_home text, p_manifest bytea) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    changed bigint;
BEGIN
    INSERT INTO privacy_part (tenant_id, request_id, home, manifest, state)
    VALUES (auditvault_tenant(), p_request, p_home, p_manifest, 'ordered')
    ON CONFLICT (tenant_id, request_id) DO UPDATE SET state = 'ordered', next_try_at = clock_timestamp(), code = NULL,
        holds = '{}'
    WHERE privacy_part.state IN ('held', 'failed', 'left') AND privacy_part.manifest = p_manifest
        AND privacy_part.home = p_home;
    GET DIAGNOSTICS changed = ROW_COUNT;
    RETURN changed > 0;
END
$$;

-- Notes how an ordered part went: held, failed or done.
CREATE FUNCTION privacy_note_part(p_request uuid, p_state text, p_code text, p_holds uuid[], p_wait interval,
                                  p_destroyed bigint, p_keys bigint, p_idxs bigint[], p_hashes bytea[]) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    changed bigint;
BEGIN
    UPDATE privacy_part AS p SET state = p_state, code = p_code, holds = p_holds, tries = p.tries + 1,
        next_try_at = clock_timestamp() + p_wait, destroyed = p_destroyed, keys = p_keys, idxs = p_idxs, hashes = p_hashes,
        done_at = CASE WHEN p_state = 'done' THEN clock_timestamp() ELSE p.done_at END
    WHERE p.tenant_id = auditvault_tenant() AND p.request_id = p_request AND p.state = 'ordered'
        AND p_state IN ('held', 'failed', 'done');
    GET DIAGNOSTICS changed = ROW_COUNT;
    RETURN changed > 0;
END
$$;

-- Notes what the verification of a part that is done found.
CREATE FUNCTION privacy_verify_part(p_request uuid, p_checked bigint, p_remaining bigint, p_opened bigint,
                                    p_arrived bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    changed bigint;
BEGIN
    UPDATE privacy_part AS p SET state = CASE WHEN p_remaining + p_opened = 0 THEN 'verified' ELSE 'left' END,
        checked = p_checked, remaining = p_remaining, opened = p_opened, arrived = p_arrived,
        verified_at = clock_timestamp()
    WHERE p.tenant_id = auditvault_tenant() AND p.request_id = p_request AND p.state = 'done';
    GET DIAGNOSTICS changed = ROW_COUNT;
    RETURN changed > 0;
END
$$;

-- What there is to do in this region, of all tenants: parts that wait, and requests that go on by themselves.
CREATE FUNCTION privacy_parts_due() RETURNS TABLE (tenant_id uuid, request_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT p.tenant_id, p.request_id FROM privacy_part AS p
    WHERE p.state IN ('ordered', 'done') AND p.next_try_at <= clock_timestamp() ORDER BY p.next_try_at, p.request_id
$$;
CREATE FUNCTION privacy_requests_underway() RETURNS TABLE (tenant_id uuid, request_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT r.tenant_id, r.request_id FROM privacy_request AS r
    WHERE r.kind = 'erasure' AND r.state IN ('scheduled', 'executing', 'held', 'failed_retry', 'keys_destroyed',
                                             'verifying', 'backup_pending', 'notifying')
    ORDER BY r.due_at, r.request_id
$$;
-- Lists that are older than an hour: whether a manifest still means them is asked where the request is kept.
CREATE FUNCTION privacy_old_listings() RETURNS TABLE (tenant_id uuid, request_id uuid, home text, listing_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT l.tenant_id, l.request_id, l.home, l.listing_id FROM privacy_listing AS l
    WHERE l.made_at < clock_timestamp() - interval '1 hour' ORDER BY l.made_at, l.listing_id
$$;

REVOKE ALL ON FUNCTION privacy_manifest_refuse_early(), privacy_certificate_refuse_early(),
    privacy_list_objects(uuid, uuid, text, uuid[]), privacy_forget_listings(uuid), privacy_holds_over(uuid[]),
    privacy_order_part(uuid, text, bytea),
    privacy_note_part(uuid, text, text, uuid[], interval, bigint, bigint, bigint[], bytea[]),
    privacy_verify_part(uuid, bigint, bigint, bigint, bigint), privacy_parts_due(), privacy_requests_underway(),
    privacy_old_listings() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION privacy_list_objects(uuid, uuid, text, uuid[]), privacy_forget_listings(uuid),
    privacy_holds_over(uuid[]), privacy_order_part(uuid, text, bytea),
    privacy_note_part(uuid, text, text, uuid[], interval, bigint, bigint, bigint[], bytea[]),
    privacy_verify_part(uuid, bigint, bigint, bigint, bigint) TO auditvault_app;
GRANT EXECUTE ON FUNCTION privacy_parts_due(), privacy_requests_underway(), privacy_old_listings() TO auditvault_retention;
