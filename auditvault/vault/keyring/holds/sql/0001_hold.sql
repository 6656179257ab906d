-- Holds on keys, and which subjects' keys are being or were destroyed. Ids only. The database refuses to delete a key
-- under a hold, whoever asks; and to make a key for a subject whose keys were destroyed.

-- One of: all keys of a tenant, of a subject, one key.
CREATE TABLE keyring_hold (
    hold_id uuid PRIMARY KEY,
    tenant_id uuid NOT NULL,
    subject_id uuid,
    key_id uuid CHECK (key_id IS NULL OR subject_id IS NOT NULL),
    -- What ordered it: an id of a case, never words.
    reference uuid NOT NULL,
    placed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX keyring_hold_subject ON keyring_hold (tenant_id, subject_id);

-- Stays for good: there is no further key for these subjects.
CREATE TABLE keyring_destruction (
    tenant_id uuid NOT NULL,
    subject_id uuid NOT NULL,
    erasure_id uuid NOT NULL,
    begun_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    destroyed_at timestamptz,
    PRIMARY KEY (tenant_id, subject_id)
);

-- As `erasure_state` of the region's database: a restored keyring is found by it.
CREATE TABLE keyring_erasure_state (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    idx bigint NOT NULL DEFAULT -1 CHECK (idx >= -1),
    hash bytea NOT NULL DEFAULT decode(repeat('00', 32), 'hex') CHECK (octet_length(hash) = 32)
);
INSERT INTO keyring_erasure_state DEFAULT VALUES;

ALTER TABLE keyring_hold ENABLE ROW LEVEL SECURITY;
ALTER TABLE keyring_destruction ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant_fence ON keyring_hold FOR ALL TO auditvault_app
    USING (tenant_id = (SELECT auditvault_tenant())) WITH CHECK (tenant_id = (SELECT auditvault_tenant()));
CREATE POLICY tenant_fence ON keyring_destruction FOR ALL TO auditvault_app
    USING (tenant_id = (SELECT auditvault_tenant())) WITH CHECK (tenant_id = (SELECT auditvault_tenant()));
REVOKE ALL ON keyring_hold, keyring_destruction, keyring_erasure_state FROM PUBLIC;
GRANT SELECT ON keyring_hold, keyring_destruction TO auditvault_app;
GRANT SELECT ON keyring_erasure_state TO auditvault_app, auditvault_retention;

CREATE FUNCTION keyring_is_held(p_tenant uuid, p_subject uuid, p_key uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT EXISTS (
        SELECT FROM keyring_hold AS h WHERE h.tenant_id = p_tenant
        AND (h.subject_id IS NULL OR h.subject_id = p_subject) AND (h.key_id IS NULL OR h.key_id = p_key))
$$;

-- The lock: whoever places a hold or begins a destruction has the tenant's to themselves; whoever deletes or makes keys
-- shares it. So a hold and a destruction come in one order, and neither half.
CREATE FUNCTION keyring_refuse_held() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtext('keyring_destruction'), hashtext(OLD.tenant_id::text));
    IF keyring_is_held(OLD.tenant_id, OLD.subject_id, OLD.key_id) THEN
        RAISE EXCEPTION 'a key under a hold is not destroyed' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN OLD;
END
$$;
CREATE TRIGGER refuse_held BEFORE DELETE ON keyring_subject_key
    FOR EACH ROW EXECUTE FUNCTION keyring_refuse_held();

CREATE FUNCTION keyring_refuse_change() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION '% of % is refused', TG_OP, TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END
$$;
-- A hold would be lost with either: a key is deleted by itself, and keeps its name.
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON keyring_subject_key
    FOR EACH STATEMENT EXECUTE FUNCTION keyring_refuse_change();
CREATE TRIGGER refuse_renaming BEFORE UPDATE ON keyring_subject_key FOR EACH ROW
    -- Not as one row against another: a dump would give that back in other words.
    WHEN (OLD.tenant_id IS DISTINCT FROM NEW.tenant_id OR OLD.subject_id IS DISTINCT FROM NEW.subject_id
          OR OLD.key_id IS DISTINCT FROM NEW.key_id)
    EXECUTE FUNCTION keyring_refuse_change();

CREATE FUNCTION keyring_refuse_destroyed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtext('keyring_destruction'), hashtext(tenant_id::text))
        FROM (SELECT DISTINCT added.tenant_id FROM added) AS tenants;
    IF EXISTS (SELECT FROM added JOIN keyring_destruction USING (tenant_id, subject_id)) THEN
        RAISE EXCEPTION 'the keys of this subject were destroyed' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER refuse_destroyed AFTER INSERT ON keyring_subject_key
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION keyring_refuse_destroyed();

-- Whether the hold is there now. It is refused for a subject whose destruction has begun, and for a tenant while that of
-- any subject is on its way.
CREATE FUNCTION keyring_place_hold(p_hold uuid, p_tenant uuid, p_subject uuid, p_key uuid, p_reference uuid)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('keyring_destruction'), hashtext(p_tenant::text));
    IF EXISTS (SELECT FROM keyring_destruction AS d WHERE d.tenant_id = p_tenant
               AND (d.subject_id = p_subject OR (p_subject IS NULL AND d.destroyed_at IS NULL))) THEN
        RETURN false;
    END IF;
    INSERT INTO keyring_hold (hold_id, tenant_id, subject_id, key_id, reference)
    VALUES (p_hold, p_tenant, p_subject, p_key, p_reference) ON CONFLICT DO NOTHING;
    RETURN EXISTS (SELECT FROM keyring_hold AS h
                   WHERE (h.hold_id, h.tenant_id, h.reference) = (p_hold, p_tenant, p_reference));
END
$$;

CREATE FUNCTION keyring_release_hold(p_hold uuid, p_tenant uuid) RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    WITH released AS (
        DELETE FROM keyring_hold WHERE hold_id = p_hold AND tenant_id = p_tenant RETURNING 1
    ) SELECT EXISTS (SELECT FROM released)
$$;

-- Either the references of the holds that are in the way, and nothing was begun; or every key of the subjects, to which
-- none is added from now on.
CREATE FUNCTION keyring_begin_destruction(p_tenant uuid, p_subjects uuid[], p_erasure uuid)
RETURNS TABLE (held_by uuid, subject_id uuid, key_id uuid, data_class text, version integer)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('keyring_destruction'), hashtext(p_tenant::text));
    RETURN QUERY SELECT DISTINCT h.reference, NULL::uuid, NULL::uuid, NULL::text, NULL::integer
        FROM keyring_hold AS h
        WHERE h.tenant_id = p_tenant AND (h.subject_id = ANY (p_subjects) OR (h.subject_id IS NULL AND EXISTS (
            SELECT FROM keyring_subject_key AS k WHERE k.tenant_id = p_tenant AND k.subject_id = ANY (p_subjects))));
    IF FOUND THEN
        RETURN;
    END IF;
    INSERT INTO keyring_destruction (tenant_id, subject_id, erasure_id)
        SELECT p_tenant, subject, p_erasure FROM unnest(p_subjects) AS subject ORDER BY subject
        ON CONFLICT DO NOTHING;
    RETURN QUERY SELECT NULL::uuid, k.subject_id, k.key_id, k.data_class, k.version
        FROM keyring_subject_key AS k WHERE k.tenant_id = p_tenant AND k.subject_id = ANY (p_subjects)
        ORDER BY k.subject_id, k.data_class, k.version;
END
$$;

-- Deletes every key of subjects whose destruction was begun; returns how many. The record of the erasure ledger is the
-- last one that was carried out here.
CREATE FUNCTION keyring_destroy(p_tenant uuid, p_subjects uuid[], p_idx bigint, p_hash bytea) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    destroyed bigint;
BEGIN
    IF EXISTS (SELECT FROM unnest(p_subjects) AS subject WHERE NOT EXISTS (SELECT FROM keyring_destruction AS d
               WHERE d.tenant_id = p_tenant AND d.subject_id = subject)) THEN
        RAISE EXCEPTION 'the destruction of these keys was not begun' USING ERRCODE = 'insufficient_privilege';
    END IF;
    DELETE FROM keyring_subject_key AS k WHERE k.tenant_id = p_tenant AND k.subject_id = ANY (p_subjects);
    GET DIAGNOSTICS destroyed = ROW_COUNT;
    UPDATE keyring_destruction AS d SET destroyed_at = clock_timestamp()
        WHERE d.tenant_id = p_tenant AND d.subject_id = ANY (p_subjects) AND d.destroyed_at IS NULL;
    UPDATE keyring_erasure_state SET idx = p_idx, hash = p_hash WHERE idx = p_idx - 1;
    IF NOT EXISTS (SELECT FROM keyring_erasure_state AS s WHERE s.idx >= p_idx) THEN
        RAISE EXCEPTION 'an earlier record was not carried out' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN destroyed;
END
$$;

-- The sweep leaves a held key where it is.
CREATE OR REPLACE FUNCTION keyring_destroy_retired(p_keys uuid[]) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    WITH gone AS (
        DELETE FROM keyring_subject_key
        WHERE key_id = ANY (p_keys) AND retired_at < now() - interval '10 minutes'
            AND NOT keyring_is_held(tenant_id, subject_id, key_id)
        RETURNING 1
    ) SELECT count(*) FROM gone
$$;

REVOKE ALL ON FUNCTION keyring_is_held(uuid, uuid, uuid), keyring_refuse_held(), keyring_refuse_destroyed(),
    keyring_place_hold(uuid, uuid, uuid, uuid, uuid), keyring_release_hold(uuid, uuid),
    keyring_begin_destruction(uuid, uuid[], uuid), keyring_destroy(uuid, uuid[], bigint, bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION keyring_place_hold(uuid, uuid, uuid, uuid, uuid), keyring_release_hold(uuid, uuid),
    keyring_begin_destruction(uuid, uuid[], uuid), keyring_destroy(uuid, uuid[], bigint, bytea)
    TO auditvault_retention;
