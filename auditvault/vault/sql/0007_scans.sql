-- Who looks, or looked, for personal data in which object, and what was found, sealed under the object's own CEK
-- (docs/spec/findings.md). No row: nobody has looked. A row goes with its object, whatever takes that away.

CREATE TABLE vault_scan (
    tenant_id uuid NOT NULL,
    object_id uuid NOT NULL,
    -- Of the object: sealed anew, it has another CEK, and is looked at again.
    version integer NOT NULL CHECK (version >= 1),
    detector text NOT NULL CHECK (detector ~ '^[0-9a-f]{16}$'),
    state text NOT NULL CHECK (state IN ('claimed', 'scanned', 'failed')),
    attempts integer NOT NULL DEFAULT 1 CHECK (attempts >= 1),
    claim uuid,
    claimed_until timestamptz,
    code text CHECK (code ~ '^[a-z_]{1,64}$'),
    envelope bytea,
    settled_at timestamptz,
    PRIMARY KEY (tenant_id, object_id),
    FOREIGN KEY (tenant_id, object_id) REFERENCES vault_object (tenant_id, object_id) ON DELETE CASCADE,
    CHECK ((state = 'claimed') = (claim IS NOT NULL) AND (state = 'claimed') = (claimed_until IS NOT NULL)),
    CHECK ((state = 'scanned') = (envelope IS NOT NULL)),
    CHECK ((state = 'failed') = (code IS NOT NULL)),
    CHECK ((state = 'claimed') = (settled_at IS NULL))
);
ALTER TABLE vault_scan ALTER envelope SET STORAGE EXTERNAL;
SELECT auditvault_fence('vault_scan', false);
GRANT SELECT ON vault_scan TO auditvault_app;

-- Claims objects of the transaction's tenant that this detector has not looked at, the newest first, of subjects who
-- can be read. One whose claim ran out three times takes its worker down, and is given up.
CREATE FUNCTION vault_claim_scans(
    p_detector text, p_claim uuid, p_since timestamptz, p_most integer, p_lease interval
) RETURNS SETOF uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
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

-- Puts down what came of a look whose claim still holds: findings, or why there are none; with neither the object is
-- let go of, as if nobody had looked. Whether the claim held, for this version of the object.
CREATE FUNCTION vault_settle_scan(p_claim uuid, p_object uuid, p_version integer, p_code text, p_envelope bytea)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    IF p_code IS NULL AND p_envelope IS NULL THEN
        DELETE FROM vault_scan AS s WHERE s.tenant_id = auditvault_tenant() AND s.object_id = p_object
            AND s.claim = p_claim;
        RETURN FOUND;
    END IF;
    UPDATE vault_scan AS s SET state = CASE WHEN p_code IS NULL THEN 'scanned' ELSE 'failed' END, code = p_code,
        envelope = p_envelope, claim = NULL, claimed_until = NULL, settled_at = clock_timestamp()
    WHERE s.tenant_id = auditvault_tenant() AND s.object_id = p_object AND s.claim = p_claim
        AND s.version = p_version;
    RETURN FOUND;
END
$$;

REVOKE ALL ON FUNCTION vault_claim_scans(text, uuid, timestamptz, integer, interval),
    vault_settle_scan(uuid, uuid, integer, text, bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION vault_claim_scans(text, uuid, timestamptz, integer, interval),
    vault_settle_scan(uuid, uuid, integer, text, bytea) TO auditvault_app;
