-- Copies of a person's data (docs/spec/subject-package.md). What is kept is ciphertext to a key that the service does not
-- have in clear, ids, counts and digests.

-- In the region that keeps the request: to whom it is encrypted. Never changed.
CREATE TABLE privacy_package_order (
    tenant_id uuid NOT NULL,
    request_id uuid NOT NULL,
    certificate bytea NOT NULL CHECK (octet_length(certificate) BETWEEN 1 AND 16384),
    -- The private key, where the service made it: under a passphrase that is kept nowhere.
    locked_key bytea CHECK (octet_length(locked_key) <= 16384),
    ordered_by uuid NOT NULL,
    ordered_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, request_id),
    FOREIGN KEY (tenant_id, request_id) REFERENCES privacy_request (tenant_id, request_id)
);

-- In each region: its file. Orders nothing by itself.
CREATE TABLE privacy_package (
    tenant_id uuid NOT NULL,
    request_id uuid NOT NULL,
    home text NOT NULL CHECK (home ~ '^[a-z][a-z0-9_]{0,30}$'),
    manifest bytea NOT NULL CHECK (octet_length(manifest) = 32),
    ordered_by uuid NOT NULL,
    locked_key bytea,
    subject_ids uuid[] NOT NULL DEFAULT '{}',
    state text NOT NULL DEFAULT 'ordered' CHECK (state IN ('ordered', 'failed', 'made', 'delivered', 'forgotten')),
    code text CHECK (code ~ '^[a-z]+(_[a-z0-9]+)*$'),
    tries integer NOT NULL DEFAULT 0,
    next_try_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    contents bigint CHECK (contents >= 0),
    body bytea,
    digest bytea CHECK (octet_length(digest) = 32),
    made_at timestamptz,
    expires_at timestamptz,
    delivered_at timestamptz,
    PRIMARY KEY (tenant_id, request_id),
    CHECK (state IN ('ordered', 'failed') OR num_nulls(digest, made_at, expires_at, contents) = 0),
    CHECK (body IS NULL OR sha256(body) = digest),
    CHECK (state <> 'delivered' OR delivered_at IS NOT NULL),
    CHECK (state <> 'forgotten' OR body IS NULL)
);

-- What opens the way to a file once: the hash of a secret that is kept nowhere.
CREATE TABLE privacy_package_link (
    tenant_id uuid NOT NULL,
    link_id uuid NOT NULL,
    request_id uuid NOT NULL,
    secret_hash bytea NOT NULL CHECK (octet_length(secret_hash) = 32),
    made_by uuid NOT NULL,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    PRIMARY KEY (tenant_id, link_id),
    FOREIGN KEY (tenant_id, request_id) REFERENCES privacy_package (tenant_id, request_id)
);
CREATE UNIQUE INDEX privacy_package_link_id ON privacy_package_link (link_id);

SELECT auditvault_fence('privacy_package_order', true);
SELECT auditvault_fence('privacy_package', false);
SELECT auditvault_fence('privacy_package_link', false);
GRANT SELECT ON privacy_package_order, privacy_package, privacy_package_link TO auditvault_app;
GRANT INSERT (tenant_id, request_id, certificate, locked_key, ordered_by) ON privacy_package_order TO auditvault_app;

-- A copy is made for whoever was identified and for what somebody else approved, and for nothing but a copy.
CREATE FUNCTION privacy_package_refuse_early() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM privacy_request AS r WHERE r.tenant_id = NEW.tenant_id AND r.request_id = NEW.request_id
               AND r.kind IN ('access', 'portability') AND r.state = 'scheduled' AND r.is_identified
               AND r.approved_manifest IS NOT NULL) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a package is ordered for an approved request for a copy' USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER refuse_early BEFORE INSERT ON privacy_package_order
    FOR EACH ROW EXECUTE FUNCTION privacy_package_refuse_early();

-- Orders a region's file, or orders it again where it failed.
CREATE FUNCTION privacy_package_want(p_request uuid, p_home text, p_manifest bytea, p_by uuid, p_key bytea, p_subjects uuid[])
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    INSERT INTO privacy_package (tenant_id, request_id, home, manifest, ordered_by, locked_key, subject_ids)
    VALUES (auditvault_tenant(), p_request, p_home, p_manifest, p_by, p_key, p_subjects)
    ON CONFLICT (tenant_id, request_id) DO UPDATE SET state = 'ordered', code = NULL, ordered_by = p_by,
        locked_key = p_key, subject_ids = p_subjects
    WHERE privacy_package.state = 'failed' AND privacy_package.next_try_at <= clock_timestamp()
        AND privacy_package.manifest = p_manifest AND privacy_package.home = p_home;
    RETURN FOUND;
END
$$;

-- Claims an ordered file for the lease: which try it is, NULL where somebody else is at it.
CREATE FUNCTION privacy_package_claim(p_request uuid, p_lease interval) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    UPDATE privacy_package SET tries = tries + 1, next_try_at = clock_timestamp() + p_lease
    WHERE tenant_id = auditvault_tenant() AND request_id = p_request AND state = 'ordered'
        AND next_try_at <= clock_timestamp()
    RETURNING tries
$$;

-- Keeps the file of a try that is still the last one.
CREATE FUNCTION privacy_package_keep(p_request uuid, p_try integer, p_body bytea, p_contents bigint, p_days integer)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    UPDATE privacy_package SET state = 'made', body = p_body, digest = sha256(p_body), contents = p_contents,
        made_at = clock_timestamp(), expires_at = clock_timestamp() + make_interval(days => p_days)
    WHERE tenant_id = auditvault_tenant() AND request_id = p_request AND state = 'ordered' AND tries = p_try;
    RETURN FOUND;
END
$$;
CREATE FUNCTION privacy_package_fail(p_request uuid, p_try integer, p_code text, p_wait interval) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    UPDATE privacy_package SET state = 'failed', code = p_code, next_try_at = clock_timestamp() + p_wait
    WHERE tenant_id = auditvault_tenant() AND request_id = p_request AND state = 'ordered' AND tries = p_try;
    RETURN FOUND;
END
$$;

-- Makes a link to a file that is there, by somebody else than who ordered it; older links lead nowhere any more.
CREATE FUNCTION privacy_package_link_to(p_request uuid, p_link uuid, p_hash bytea, p_by uuid, p_hours integer)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    PERFORM FROM privacy_package AS p WHERE p.tenant_id = auditvault_tenant() AND p.request_id = p_request
        AND p.state IN ('made', 'delivered') AND p.expires_at > clock_timestamp() AND p.ordered_by <> p_by FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE privacy_package_link SET expires_at = least(expires_at, clock_timestamp())
    WHERE tenant_id = auditvault_tenant() AND request_id = p_request;
    INSERT INTO privacy_package_link (tenant_id, link_id, request_id, secret_hash, made_by, expires_at)
    VALUES (auditvault_tenant(), p_link, p_request, p_hash, p_by, clock_timestamp() + make_interval(hours => p_hours));
    RETURN true;
END
$$;

-- Whose link it is: whoever brings one has nothing else to say so.
CREATE FUNCTION privacy_package_link_tenant(p_link uuid) RETURNS uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$ SELECT tenant_id FROM privacy_package_link WHERE link_id = p_link $$;

-- Uses a link up, once. False: used, over its time, another secret, or the file is not there (any more).
CREATE FUNCTION privacy_package_redeem(p_link uuid, p_hash bytea) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    request uuid;
BEGIN
    UPDATE privacy_package_link SET used_at = clock_timestamp()
    WHERE tenant_id = auditvault_tenant() AND link_id = p_link AND secret_hash = p_hash AND used_at IS NULL
        AND expires_at > clock_timestamp()
    RETURNING request_id INTO request;
    UPDATE privacy_package SET state = 'delivered', delivered_at = coalesce(delivered_at, clock_timestamp())
    WHERE tenant_id = auditvault_tenant() AND request_id = request AND body IS NOT NULL
        AND expires_at > clock_timestamp();
    RETURN FOUND;
END
$$;

-- Forgets files that are over their time, and those of people who are being erased, or are.
CREATE FUNCTION privacy_packages_forget() RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    WITH gone AS (
        UPDATE privacy_package AS p SET state = 'forgotten', body = NULL, locked_key = NULL
        WHERE p.body IS NOT NULL AND (p.expires_at <= clock_timestamp() OR EXISTS (
            SELECT FROM vault_subject AS s WHERE s.tenant_id = p.tenant_id AND s.subject_id = ANY (p.subject_ids)
            AND s.state NOT IN ('active', 'restricted')))
        RETURNING 1)
    SELECT count(*) FROM gone
$$;

-- What there is to do in this region, of all tenants.
CREATE FUNCTION privacy_packages_due() RETURNS TABLE (tenant_id uuid, request_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT p.tenant_id, p.request_id FROM privacy_package AS p
    WHERE p.state = 'ordered' AND p.next_try_at <= clock_timestamp() ORDER BY p.next_try_at, p.request_id
$$;
CREATE FUNCTION privacy_copies_underway() RETURNS TABLE (tenant_id uuid, request_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT r.tenant_id, r.request_id FROM privacy_request AS r JOIN privacy_package_order AS o USING (tenant_id, request_id)
    WHERE r.kind IN ('access', 'portability')
        AND r.state IN ('scheduled', 'executing', 'failed_retry', 'verifying', 'notifying')
    ORDER BY r.due_at, r.request_id
$$;

REVOKE ALL ON FUNCTION privacy_package_refuse_early(),
    privacy_package_want(uuid, text, bytea, uuid, bytea, uuid[]), privacy_package_claim(uuid, interval),
    privacy_package_keep(uuid, integer, bytea, bigint, integer), privacy_package_fail(uuid, integer, text, interval),
    privacy_package_link_to(uuid, uuid, bytea, uuid, integer), privacy_package_link_tenant(uuid),
    privacy_package_redeem(uuid, bytea), privacy_packages_forget(), privacy_packages_due(), privacy_copies_underway()
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION privacy_package_want(uuid, text, bytea, uuid, bytea, uuid[]),
    privacy_package_claim(uuid, interval), privacy_package_keep(uuid, integer, bytea, bigint, integer),
    privacy_package_fail(uuid, integer, text, interval), privacy_package_link_to(uuid, uuid, bytea, uuid, integer),
    privacy_package_link_tenant(uuid), privacy_package_redeem(uuid, bytea) TO auditvault_app;
GRANT EXECUTE ON FUNCTION privacy_packages_forget(), privacy_packages_due(), privacy_copies_underway()
    TO auditvault_retention;
