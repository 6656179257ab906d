-- Erasures of this region: what was begun, and where it stands in the erasure ledger, which lies outside every database
-- (docs/spec/erasure-ledger.md). Ids only. The steps and their order: auditvault/vault/shred.py.

CREATE TABLE vault_erasure (
    tenant_id uuid NOT NULL,
    erasure_id uuid NOT NULL,
    -- Of the request that ordered it.
    reference uuid NOT NULL,
    subject_ids uuid[] NOT NULL CHECK (cardinality(subject_ids) BETWEEN 1 AND 1000),
    begun_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Its record in the erasure ledger, once nothing is left.
    idx bigint UNIQUE CHECK (idx >= 0),
    hash bytea CHECK (octet_length(hash) = 32),
    done_at timestamptz,
    CHECK (num_nulls(idx, hash, done_at) IN (0, 3)),
    PRIMARY KEY (tenant_id, erasure_id)
);
CREATE INDEX vault_erasure_unfinished ON vault_erasure (begun_at) WHERE done_at IS NULL;
SELECT auditvault_fence('vault_erasure', false);
GRANT SELECT ON vault_erasure TO auditvault_app;

-- The last record of the erasure ledger that was carried out here; -1 and zeros before the first. And whether a restore
-- was seen that has not been gone through again. One row, for all tenants.
CREATE TABLE erasure_state (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    idx bigint NOT NULL DEFAULT -1 CHECK (idx >= -1),
    hash bytea NOT NULL DEFAULT decode(repeat('00', 32), 'hex') CHECK (octet_length(hash) = 32),
    pending_since timestamptz,
    pending_reason text CHECK (pending_reason ~ '^[a-z_]{1,64}$'),
    CHECK (num_nulls(pending_since, pending_reason) IN (0, 2))
);
INSERT INTO erasure_state DEFAULT VALUES;
REVOKE ALL ON erasure_state FROM PUBLIC;
GRANT SELECT ON erasure_state TO auditvault_app, auditvault_retention;

-- What was begun and is not done, of all tenants: where a reader finds a record that is not carried out yet, this says
-- whether somebody is at it.
CREATE FUNCTION vault_unfinished_erasures()
RETURNS TABLE (tenant_id uuid, erasure_id uuid, reference uuid, subject_ids uuid[])
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT e.tenant_id, e.erasure_id, e.reference, e.subject_ids FROM vault_erasure AS e
    WHERE e.done_at IS NULL ORDER BY e.begun_at, e.erasure_id
$$;

-- Why these subjects cannot be erased: 'unknown', 'tenant'; '' where they can.
CREATE FUNCTION vault_check_erasure(p_tenant uuid, p_subjects uuid[]) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT CASE
        WHEN count(*) < (SELECT count(DISTINCT asked) FROM unnest(p_subjects) AS asked) THEN 'unknown'
        WHEN bool_or(s.kind = 'tenant') THEN 'tenant'
        ELSE '' END
    FROM vault_subject AS s WHERE s.tenant_id = p_tenant AND s.subject_id = ANY (p_subjects)
$$;

-- From its commit on nobody opens anything of these subjects, and no name leads to them. Whoever seals for a subject of
-- the tenant holds the other side of the lock from before they looked it up until their commit: so nothing is added
-- afterwards, and this waits for what is being added. Subjects that are not there are passed over: a restored database
-- may be older than they are.
CREATE FUNCTION vault_begin_erasure(p_tenant uuid, p_erasure uuid, p_reference uuid, p_subjects uuid[])
RETURNS TABLE (subjects bigint, identifiers bigint, done_idx bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    -- Who is one person with whom is not changed meanwhile either.
    PERFORM pg_advisory_xact_lock(hashtext('vault_subject_link'), hashtext(p_tenant::text));
    PERFORM pg_advisory_xact_lock(hashtext('vault_sealers'), hashtext(p_tenant::text));
    IF EXISTS (SELECT FROM vault_subject AS s WHERE s.tenant_id = p_tenant
               AND s.subject_id = ANY (p_subjects) AND s.kind = 'tenant') THEN
        RAISE EXCEPTION 'what belongs to the tenant itself is not erased for a person'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    INSERT INTO vault_erasure (tenant_id, erasure_id, reference, subject_ids)
    VALUES (p_tenant, p_erasure, p_reference, p_subjects) ON CONFLICT DO NOTHING;
    UPDATE vault_subject AS s SET state = 'erasing' WHERE s.tenant_id = p_tenant
        AND s.subject_id = ANY (p_subjects) AND s.state IN ('active', 'restricted');
    GET DIAGNOSTICS subjects = ROW_COUNT;
    DELETE FROM vault_identifier AS i WHERE i.tenant_id = p_tenant AND i.subject_id = ANY (p_subjects);
    GET DIAGNOSTICS identifiers = ROW_COUNT;
    SELECT e.idx INTO done_idx FROM vault_erasure AS e
        WHERE e.tenant_id = p_tenant AND e.erasure_id = p_erasure;
    RETURN NEXT;
END
$$;

-- Removes at most so many objects, with their aliases, and so many links to records; zeros once nothing is left.
CREATE FUNCTION vault_erase_rows(p_tenant uuid, p_subjects uuid[], p_most integer)
RETURNS TABLE (objects bigint, aliases bigint, records bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    gone uuid[];
BEGIN
    IF EXISTS (SELECT FROM vault_subject AS s WHERE s.tenant_id = p_tenant
               AND s.subject_id = ANY (p_subjects) AND s.state IN ('active', 'restricted')) THEN
        RAISE EXCEPTION 'the erasure of these subjects was not begun' USING ERRCODE = 'insufficient_privilege';
    END IF;
    gone := ARRAY(SELECT o.object_id FROM vault_object AS o
                  WHERE o.tenant_id = p_tenant AND o.subject_id = ANY (p_subjects) LIMIT p_most);
    DELETE FROM vault_tag_alias AS a WHERE a.tenant_id = p_tenant AND a.object_id = ANY (gone);
    GET DIAGNOSTICS aliases = ROW_COUNT;
    DELETE FROM vault_object AS o WHERE o.tenant_id = p_tenant AND o.object_id = ANY (gone);
    GET DIAGNOSTICS objects = ROW_COUNT;
    DELETE FROM vault_record AS r WHERE r.tenant_id = p_tenant AND r.record_id = ANY (ARRAY(
        SELECT k.record_id FROM vault_record AS k
        WHERE k.tenant_id = p_tenant AND k.subject_id = ANY (p_subjects) LIMIT p_most));
    GET DIAGNOSTICS records = ROW_COUNT;
    RETURN NEXT;
END
$$;

-- The erasure is done: nothing of the subjects is left here, and its record is the last one that was carried out.
CREATE FUNCTION vault_finish_erasure(p_tenant uuid, p_erasure uuid, p_idx bigint, p_hash bytea) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    mine vault_erasure;
BEGIN
    SELECT * INTO STRICT mine FROM vault_erasure AS e
        WHERE e.tenant_id = p_tenant AND e.erasure_id = p_erasure FOR UPDATE;
    IF EXISTS (SELECT FROM vault_object AS o WHERE o.tenant_id = p_tenant AND o.subject_id = ANY (mine.subject_ids))
        OR EXISTS (SELECT FROM vault_record AS r WHERE r.tenant_id = p_tenant AND r.subject_id = ANY (mine.subject_ids))
        OR EXISTS (SELECT FROM vault_identifier AS i
                   WHERE i.tenant_id = p_tenant AND i.subject_id = ANY (mine.subject_ids)) THEN
        RAISE EXCEPTION 'something of these subjects is left' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF mine.done_at IS NOT NULL AND (mine.idx, mine.hash) IS DISTINCT FROM (p_idx, p_hash) THEN
        RAISE EXCEPTION 'that erasure has another record' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    UPDATE vault_subject AS s SET state = 'erased'
        WHERE s.tenant_id = p_tenant AND s.subject_id = ANY (mine.subject_ids) AND s.state = 'erasing';
    UPDATE vault_erasure AS e SET idx = p_idx, hash = p_hash, done_at = clock_timestamp()
        WHERE e.tenant_id = p_tenant AND e.erasure_id = p_erasure AND e.done_at IS NULL;
    UPDATE erasure_state SET idx = p_idx, hash = p_hash WHERE idx = p_idx - 1;
    IF NOT EXISTS (SELECT FROM erasure_state AS s WHERE s.idx >= p_idx) THEN
        RAISE EXCEPTION 'an earlier record was not carried out' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    -- Processes drop the keys that they hold. Who misses it holds them for a minute, and opens nothing with them.
    PERFORM pg_notify('auditvault_subject_erased', p_tenant::text || '/' || subject::text)
        FROM unnest(mine.subject_ids) AS subject;
END
$$;

-- The first reason stays: it says what began it.
CREATE FUNCTION vault_mark_restore_pending(p_reason text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    UPDATE erasure_state SET pending_since = clock_timestamp(), pending_reason = p_reason
    WHERE pending_since IS NULL
$$;

-- Only where the given record is the last one carried out; whether it was.
CREATE FUNCTION vault_clear_restore_pending(p_idx bigint, p_hash bytea) RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    WITH cleared AS (
        UPDATE erasure_state SET pending_since = NULL, pending_reason = NULL
        WHERE idx = p_idx AND hash = p_hash RETURNING 1
    ) SELECT EXISTS (SELECT FROM cleared)
$$;

REVOKE ALL ON FUNCTION vault_unfinished_erasures(), vault_check_erasure(uuid, uuid[]),
    vault_begin_erasure(uuid, uuid, uuid, uuid[]), vault_erase_rows(uuid, uuid[], integer),
    vault_finish_erasure(uuid, uuid, bigint, bytea), vault_mark_restore_pending(text),
    vault_clear_restore_pending(bigint, bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION vault_unfinished_erasures(), vault_check_erasure(uuid, uuid[]),
    vault_begin_erasure(uuid, uuid, uuid, uuid[]), vault_erase_rows(uuid, uuid[], integer),
    vault_finish_erasure(uuid, uuid, bigint, bytea), vault_mark_restore_pending(text),
    vault_clear_restore_pending(bigint, bytea) TO auditvault_retention;
GRANT EXECUTE ON FUNCTION vault_unfinished_erasures() TO auditvault_app;
