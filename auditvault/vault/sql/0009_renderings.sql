-- Contents with what is personal replaced, sealed under their objects' own CEKs, and which number each replaced value has
-- (docs/spec/renderings.md). Rows go with their object, whatever takes that away.

-- With which detector the tenant's workers look at present: what another one's findings were rendered by is not shown.
CREATE TABLE vault_detector (
    tenant_id uuid PRIMARY KEY,
    detector text NOT NULL CHECK (detector ~ '^[0-9a-f]{16}$'),
    since_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
SELECT auditvault_fence('vault_detector', false);
GRANT SELECT ON vault_detector TO auditvault_app;

CREATE TABLE vault_rendering (
    tenant_id uuid NOT NULL,
    object_id uuid NOT NULL,
    -- Of the object: sealed anew, it has another CEK, and is rendered again.
    version integer NOT NULL CHECK (version >= 1),
    detector text NOT NULL CHECK (detector ~ '^[0-9a-f]{16}$'),
    envelope bytea NOT NULL,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, object_id),
    FOREIGN KEY (tenant_id, object_id) REFERENCES vault_object (tenant_id, object_id) ON DELETE CASCADE
);
ALTER TABLE vault_rendering ALTER envelope SET STORAGE EXTERNAL;
SELECT auditvault_fence('vault_rendering', false);
GRANT SELECT (tableoid, tenant_id, object_id, version, detector, made_at) ON vault_rendering TO auditvault_app;

-- Which number a value has among what is one subject's. The tag is keyed, and bound to the subject: it says neither what
-- the value is, nor that somebody else's content has the same.
CREATE TABLE vault_placeholder (
    tenant_id uuid NOT NULL,
    object_id uuid NOT NULL,
    entity text NOT NULL CHECK (entity <> ''),
    tag bytea NOT NULL CHECK (octet_length(tag) = 32),
    subject_id uuid NOT NULL,
    number integer NOT NULL CHECK (number >= 1),
    PRIMARY KEY (tenant_id, object_id, entity, tag),
    FOREIGN KEY (tenant_id, object_id) REFERENCES vault_object (tenant_id, object_id) ON DELETE CASCADE
);
CREATE INDEX vault_placeholder_value ON vault_placeholder (tenant_id, subject_id, entity, tag);
CREATE INDEX vault_placeholder_number ON vault_placeholder (tenant_id, subject_id, entity, number);
SELECT auditvault_fence('vault_placeholder', false);
GRANT SELECT ON vault_placeholder TO auditvault_app;

-- Renderings that may be shown: of the object as it is, by the present detector, of subjects who can be read. It has the
-- owner's rights, so it keeps the fence of tenants itself.
CREATE VIEW vault_redacted AS
    SELECT r.tenant_id, r.object_id, r.version, r.detector, r.envelope
    FROM vault_rendering AS r
    JOIN vault_object AS o ON o.tenant_id = r.tenant_id AND o.object_id = r.object_id AND o.version = r.version
    WHERE r.tenant_id = (SELECT auditvault_tenant())
      AND r.detector = (SELECT d.detector FROM vault_detector AS d WHERE d.tenant_id = r.tenant_id)
      AND (SELECT s.state FROM vault_subject AS s
           WHERE s.tenant_id = o.tenant_id AND s.subject_id = o.subject_id) = 'active';
REVOKE ALL ON vault_redacted FROM PUBLIC;
GRANT SELECT ON vault_redacted TO auditvault_app;

-- As before, and says with which detector the tenant's workers look from now on.
CREATE OR REPLACE FUNCTION vault_claim_scans(
    p_detector text, p_claim uuid, p_since timestamptz, p_most integer, p_lease interval
) RETURNS SETOF uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    -- Only where it differs, so that claims of one tenant do not wait for each other.
    INSERT INTO vault_detector AS d (tenant_id, detector) VALUES (auditvault_tenant(), p_detector)
    ON CONFLICT (tenant_id) DO UPDATE SET detector = EXCLUDED.detector, since_at = clock_timestamp()
        WHERE d.detector <> EXCLUDED.detector;
    UPDATE vault_scan AS s SET state = 'failed', code = 'scan_interrupted', claim = NULL, claimed_until = NULL,
        settled_at = clock_timestamp()
    WHERE s.tenant_id = auditvault_tenant() AND s.state = 'claimed' AND s.claimed_until < clock_timestamp()
        AND s.attempts >= 3;
    RETURN QUERY
    WITH wanted AS (
        SELECT o.tenant_id, o.object_id, o.version FROM vault_object AS o
        JOIN vault_subject AS p ON p.tenant_id = o.tenant_id AND p.subject_id = o.subject_id
        LEFT JOIN vault_scan AS s ON s.tenant_id = o.tenant_id AND s.object_id = o.object_id
        WHERE o.tenant_id = auditvault_tenant() AND o.object_id >= auditvault_uuid7_floor(p_since)
            AND p.state = 'active'
            AND (s.object_id IS NULL OR s.version <> o.version OR s.detector <> p_detector
                 OR (s.state = 'claimed' AND s.claimed_until < clock_timestamp()))
        ORDER BY o.object_id DESC LIMIT p_most
        FOR UPDATE OF o SKIP LOCKED
    )
    INSERT INTO vault_scan AS s (tenant_id, object_id, version, detector, state, claim, claimed_until)
    SELECT w.tenant_id, w.object_id, w.version, p_detector, 'claimed', p_claim, clock_timestamp() + p_lease
    FROM wanted AS w
    ON CONFLICT (tenant_id, object_id) DO UPDATE SET
        attempts = CASE WHEN s.version = EXCLUDED.version AND s.detector = EXCLUDED.detector
                   THEN s.attempts + 1 ELSE 1 END,
        version = EXCLUDED.version, detector = EXCLUDED.detector, state = 'claimed', claim = EXCLUDED.claim,
        claimed_until = EXCLUDED.claimed_until, code = NULL, envelope = NULL, settled_at = NULL
    -- Who claimed it after our look at the table keeps it.
    WHERE s.version <> EXCLUDED.version OR s.detector <> EXCLUDED.detector
        OR (s.state = 'claimed' AND s.claimed_until < clock_timestamp())
    RETURNING s.object_id;
END
$$;

-- The number of each value of a content whose claim still holds, in their order: the one that it has already among what
-- is the subject's, else the next of its kind. Contents of the tenant's own are no conversation: each counts for itself.
-- Nothing where the claim does not hold any more, or the object is gone; until the end of the transaction it is not.
CREATE FUNCTION vault_number_values(
    p_claim uuid, p_object uuid, p_version integer, p_entities text[], p_tags bytea[]
) RETURNS integer[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    owner uuid;
    is_alone boolean;
    given integer;
    numbers integer[] := '{}';
BEGIN
    -- The object first: who removes it waits, and is not waited for by us afterwards.
    SELECT o.subject_id INTO owner FROM vault_object AS o WHERE o.tenant_id = auditvault_tenant()
        AND o.object_id = p_object AND o.version = p_version FOR KEY SHARE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    PERFORM FROM vault_scan AS s WHERE s.tenant_id = auditvault_tenant() AND s.object_id = p_object
        AND s.claim = p_claim AND s.version = p_version FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    SELECT s.kind = 'tenant' INTO STRICT is_alone FROM vault_subject AS s
        WHERE s.tenant_id = auditvault_tenant() AND s.subject_id = owner;
    -- Two workers must not give two values of one subject the same number.
    PERFORM pg_advisory_xact_lock(hashtext('vault_placeholder'), hashtext(owner::text));
    FOR i IN 1 .. cardinality(p_tags) LOOP
        SELECT p.number INTO given FROM vault_placeholder AS p
            WHERE p.tenant_id = auditvault_tenant() AND p.subject_id = owner AND p.entity = p_entities[i]
            AND p.tag = p_tags[i] AND (NOT is_alone OR p.object_id = p_object) LIMIT 1;
        IF NOT FOUND THEN
            SELECT coalesce(max(p.number), 0) + 1 INTO given FROM vault_placeholder AS p
                WHERE p.tenant_id = auditvault_tenant() AND p.subject_id = owner AND p.entity = p_entities[i]
                AND (NOT is_alone OR p.object_id = p_object);
        END IF;
        INSERT INTO vault_placeholder (tenant_id, object_id, entity, tag, subject_id, number)
        VALUES (auditvault_tenant(), p_object, p_entities[i], p_tags[i], owner, given) ON CONFLICT DO NOTHING;
        numbers := numbers || given;
    END LOOP;
    DELETE FROM vault_placeholder AS p WHERE p.tenant_id = auditvault_tenant() AND p.object_id = p_object
        AND p.tag <> ALL (p_tags);
    RETURN numbers;
END
$$;

-- Puts down what came of a look whose claim still holds: findings and the rendering by them, or why there are none; with
-- neither the object is let go of, as if nobody had looked. Whether the claim held, for this version of the object.
DROP FUNCTION vault_settle_scan(uuid, uuid, integer, text, bytea);
CREATE FUNCTION vault_settle_scan(
    p_claim uuid, p_object uuid, p_version integer, p_code text, p_envelope bytea, p_rendering bytea
) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    looked_with text;
BEGIN
    IF (p_envelope IS NULL) <> (p_rendering IS NULL) THEN
        RAISE EXCEPTION 'findings come with a rendering' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM FROM vault_object AS o WHERE o.tenant_id = auditvault_tenant() AND o.object_id = p_object FOR KEY SHARE;
    IF p_code IS NULL AND p_envelope IS NULL THEN
        DELETE FROM vault_scan AS s WHERE s.tenant_id = auditvault_tenant() AND s.object_id = p_object
            AND s.claim = p_claim;
        RETURN FOUND;
    END IF;
    UPDATE vault_scan AS s SET state = CASE WHEN p_code IS NULL THEN 'scanned' ELSE 'failed' END, code = p_code,
        envelope = p_envelope, claim = NULL, claimed_until = NULL, settled_at = clock_timestamp()
    WHERE s.tenant_id = auditvault_tenant() AND s.object_id = p_object AND s.claim = p_claim
        AND s.version = p_version
    RETURNING s.detector INTO looked_with;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF p_code IS NOT NULL THEN
        DELETE FROM vault_rendering AS r WHERE r.tenant_id = auditvault_tenant() AND r.object_id = p_object;
        DELETE FROM vault_placeholder AS p WHERE p.tenant_id = auditvault_tenant() AND p.object_id = p_object;
        RETURN true;
    END IF;
    INSERT INTO vault_rendering AS r (tenant_id, object_id, version, detector, envelope)
    VALUES (auditvault_tenant(), p_object, p_version, looked_with, p_rendering)
    ON CONFLICT (tenant_id, object_id) DO UPDATE SET version = EXCLUDED.version, detector = EXCLUDED.detector,
        envelope = EXCLUDED.envelope, made_at = clock_timestamp();
    RETURN true;
END
$$;

REVOKE ALL ON FUNCTION vault_number_values(uuid, uuid, integer, text[], bytea[]),
    vault_settle_scan(uuid, uuid, integer, text, bytea, bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION vault_number_values(uuid, uuid, integer, text[], bytea[]),
    vault_settle_scan(uuid, uuid, integer, text, bytea, bytea) TO auditvault_app;
