-- The rotation of a subject's key. States, and what a crash in each leaves: docs/spec/keyring.md section 4.

-- A new version of one subject's key. It names keys, no subject and no tenant: what links it to a person dies with the keys.
CREATE TABLE keyring_rotation (
    rotation_id uuid PRIMARY KEY,
    new_key_id uuid NOT NULL,
    old_key_ids uuid[] NOT NULL,
    state text NOT NULL DEFAULT 'rewrapping' CHECK (state IN ('rewrapping', 'destroyed', 'done')),
    rewrapped bigint NOT NULL DEFAULT 0,
    started_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
);

REVOKE ALL ON keyring_rotation FROM PUBLIC;
GRANT SELECT ON keyring_rotation TO auditvault_retention;

-- Begins to give up every version of a subject's key that is older than `p_new`; false where there is none. A sealer takes
-- the newest version only, so from now on none begins with an old one.
CREATE FUNCTION keyring_begin_rotation(p_tenant uuid, p_rotation uuid, p_new uuid) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE old uuid[];
BEGIN
    SELECT array_agg(o.key_id ORDER BY o.version) INTO old
    FROM keyring_subject_key AS n JOIN keyring_subject_key AS o USING (tenant_id, subject_id, data_class)
    WHERE n.tenant_id = p_tenant AND n.key_id = p_new AND n.retired_at IS NULL AND o.version < n.version;
    IF old IS NULL THEN
        RETURN false;
    END IF;
    UPDATE keyring_subject_key SET retired_at = now() WHERE key_id = ANY (old) AND retired_at IS NULL;
    INSERT INTO keyring_rotation (rotation_id, new_key_id, old_key_ids) VALUES (p_rotation, p_new, old)
    ON CONFLICT DO NOTHING;
    PERFORM pg_notify('auditvault_keys', 'tenant ' || p_tenant);
    RETURN true;
END
$$;

CREATE FUNCTION keyring_count_rewrapped(p_rotation uuid, p_objects bigint) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    UPDATE keyring_rotation SET rewrapped = rewrapped + p_objects
    WHERE rotation_id = p_rotation AND state = 'rewrapping'
$$;

-- Destroys the old versions, ten minutes after they were retired: every cached copy is gone by then, and every transaction
-- that could still write under one. The caller has looked after that and found nothing under them. Returns when that is, or
-- null where it is done.
CREATE FUNCTION keyring_finish_rotation(p_rotation uuid) RETURNS timestamptz
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    old uuid[];
    due timestamptz;
BEGIN
    -- Without its new key nothing can have moved.
    SELECT old_key_ids INTO old FROM keyring_rotation AS r
    WHERE rotation_id = p_rotation AND state = 'rewrapping'
        AND EXISTS (SELECT FROM keyring_subject_key AS k WHERE k.key_id = r.new_key_id) FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    -- The sweep reinstates what it found in use.
    UPDATE keyring_subject_key SET retired_at = now() WHERE key_id = ANY (old) AND retired_at IS NULL;
    SELECT max(retired_at) + interval '10 minutes' INTO due FROM keyring_subject_key WHERE key_id = ANY (old);
    IF due > now() THEN
        RETURN due;
    END IF;
    -- A key under a hold is kept, and looked at again later.
    IF EXISTS (SELECT FROM keyring_subject_key WHERE key_id = ANY (old)
               AND keyring_is_held(tenant_id, subject_id, key_id)) THEN
        RETURN now() + interval '1 hour';
    END IF;
    DELETE FROM keyring_subject_key WHERE key_id = ANY (old);
    UPDATE keyring_rotation SET state = 'destroyed' WHERE rotation_id = p_rotation;
    RETURN NULL;
END
$$;

CREATE FUNCTION keyring_close_rotation(p_rotation uuid) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    UPDATE keyring_rotation SET state = 'done', finished_at = now()
    WHERE rotation_id = p_rotation AND state = 'destroyed'
$$;

DO $$
DECLARE signature text;
BEGIN
    FOREACH signature IN ARRAY ARRAY[
        'keyring_begin_rotation(uuid, uuid, uuid)',
        'keyring_count_rewrapped(uuid, bigint)',
        'keyring_finish_rotation(uuid)',
        'keyring_close_rotation(uuid)'] LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', signature);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO auditvault_retention', signature);
    END LOOP;
END
$$;
