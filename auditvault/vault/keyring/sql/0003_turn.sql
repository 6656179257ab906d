-- The turn of an epoch. States, and what a crash in each leaves: docs/spec/keyring.md section 3.
-- Only functions change a row. None makes a key live that did not; all compare what is there with what the caller read.

-- A turn to epoch `to_epoch`. Kept for good: it says when each epoch began, and when the one before was past taking back.
CREATE TABLE keyring_turn (
    to_epoch integer PRIMARY KEY CHECK (to_epoch >= 2),
    state text NOT NULL CHECK (state IN ('rewrapping', 'destroying', 'destroyed', 'done')),
    -- Root keys and region KEKs of what ends.
    old_refs text[] NOT NULL,
    old_keys uuid[] NOT NULL,
    subject_keys bigint NOT NULL DEFAULT 0,
    tag_secrets bigint NOT NULL DEFAULT 0,
    tenant_keys bigint NOT NULL DEFAULT 0,
    started_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    past_recall_at timestamptz,
    finished_at timestamptz
);
CREATE UNIQUE INDEX keyring_turn_one ON keyring_turn ((true)) WHERE state <> 'done';

REVOKE ALL ON keyring_turn FROM PUBLIC;
GRANT SELECT ON keyring_turn TO auditvault_app, auditvault_retention;

-- The retention role sees which keys there are, and still no key, wrapped or not.
GRANT SELECT (epoch, key_id, key_ref, created_at) ON keyring_region_key TO auditvault_retention;
GRANT SELECT (tenant_id, epoch, key_id, created_at) ON keyring_tenant_key TO auditvault_retention;
GRANT SELECT (tenant_id, version, epoch, key_id, created_at) ON keyring_tag_secret TO auditvault_retention;
GRANT SELECT (epoch) ON keyring_subject_key TO auditvault_retention;
CREATE POLICY retention_turns ON keyring_tenant_key FOR SELECT TO auditvault_retention USING (true);
CREATE POLICY retention_turns ON keyring_tag_secret FOR SELECT TO auditvault_retention USING (true);
CREATE INDEX keyring_subject_key_epoch ON keyring_subject_key (epoch, tenant_id);

-- The application makes the first epoch, once, and no other.
CREATE FUNCTION keyring_has_turned() RETURNS boolean
LANGUAGE sql STABLE SET search_path = public, pg_temp
AS $$ SELECT EXISTS (SELECT FROM keyring_turn) $$;
REVOKE ALL ON FUNCTION keyring_has_turned() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION keyring_has_turned() TO auditvault_app;
ALTER TABLE keyring_region_key ENABLE ROW LEVEL SECURITY;
CREATE POLICY everybody_reads ON keyring_region_key FOR SELECT TO auditvault_app, auditvault_retention USING (true);
CREATE POLICY first_epoch ON keyring_region_key FOR INSERT TO auditvault_app
    WITH CHECK (epoch = 1 AND NOT keyring_has_turned());

-- Begins the epoch `p_epoch` with its region KEK: new keys are made under it from now on. False: it has begun already, or
-- another turn is not done. `p_first_ref` names the root key of rows from before references were stored.
CREATE FUNCTION keyring_begin_turn(p_epoch integer, p_key uuid, p_wrapped bytea, p_ref text, p_first_ref text)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    refs text[];
    ids uuid[];
BEGIN
    LOCK TABLE keyring_turn IN SHARE ROW EXCLUSIVE MODE;
    IF EXISTS (SELECT FROM keyring_turn WHERE state <> 'done')
        OR p_epoch IS DISTINCT FROM (SELECT max(epoch) + 1 FROM keyring_region_key) THEN
        RETURN false;
    END IF;
    UPDATE keyring_region_key SET key_ref = p_first_ref WHERE key_ref = '';
    SELECT array_agg(key_ref ORDER BY epoch), array_agg(key_id ORDER BY epoch) INTO refs, ids FROM keyring_region_key;
    -- Destroying the old root key must not destroy the new.
    IF p_ref = ANY (refs) OR p_ref = '' OR '' = ANY (refs) THEN
        RAISE EXCEPTION 'the new epoch has no root key of its own' USING ERRCODE = 'check_violation';
    END IF;
    INSERT INTO keyring_region_key (epoch, key_id, wrapped, key_ref) VALUES (p_epoch, p_key, p_wrapped, p_ref);
    INSERT INTO keyring_turn (to_epoch, state, old_refs, old_keys) VALUES (p_epoch, 'rewrapping', refs, ids);
    RETURN true;
END
$$;

-- Puts the same keys under the tenant's KEK of `p_epoch`. Returns how many still had the wrap that the caller read: a key
-- that was destroyed meanwhile stays so.
CREATE FUNCTION keyring_rewrap_subject_keys(
    p_epoch integer, p_tenant uuid, p_keys uuid[], p_old bytea[], p_new bytea[]
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE changed bigint;
BEGIN
    PERFORM FROM keyring_turn WHERE to_epoch = p_epoch AND state = 'rewrapping' FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    UPDATE keyring_subject_key AS k SET epoch = p_epoch, wrapped = w.new
    FROM unnest(p_keys, p_old, p_new) AS w (key_id, old, new)
    WHERE k.key_id = w.key_id AND k.tenant_id = p_tenant AND k.epoch < p_epoch AND k.wrapped = w.old;
    GET DIAGNOSTICS changed = ROW_COUNT;
    UPDATE keyring_turn SET subject_keys = subject_keys + changed WHERE to_epoch = p_epoch;
    RETURN changed;
END
$$;

CREATE FUNCTION keyring_rewrap_tag_secret(p_epoch integer, p_tenant uuid, p_key uuid, p_old bytea, p_new bytea)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE changed bigint;
BEGIN
    PERFORM FROM keyring_turn WHERE to_epoch = p_epoch AND state = 'rewrapping' FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    UPDATE keyring_tag_secret SET epoch = p_epoch, wrapped = p_new
    WHERE key_id = p_key AND tenant_id = p_tenant AND epoch < p_epoch AND wrapped = p_old;
    GET DIAGNOSTICS changed = ROW_COUNT;
    UPDATE keyring_turn SET tag_secrets = tag_secrets + changed WHERE to_epoch = p_epoch;
    RETURN changed;
END
$$;

-- Deletes the KEKs before `p_epoch`, once nothing is wrapped under them: returns what still is, and deletes nothing until
-- that is 0. Who inserts under an old KEK at this moment holds its row: we wait, and count the new key; or we hold it, and
-- the foreign key refuses theirs. Region before tenants, the order in which makers of keys lock them.
CREATE FUNCTION keyring_end_epoch(p_epoch integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    remaining bigint;
    deleted bigint;
BEGIN
    PERFORM FROM keyring_turn WHERE to_epoch = p_epoch AND state = 'rewrapping' FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    PERFORM FROM keyring_region_key WHERE epoch < p_epoch ORDER BY epoch FOR UPDATE;
    PERFORM FROM keyring_tenant_key WHERE epoch < p_epoch ORDER BY epoch, tenant_id FOR UPDATE;
    SELECT (SELECT count(*) FROM keyring_subject_key WHERE epoch < p_epoch)
        + (SELECT count(*) FROM keyring_tag_secret WHERE epoch < p_epoch) INTO remaining;
    IF remaining > 0 THEN
        RETURN remaining;
    END IF;
    DELETE FROM keyring_tenant_key WHERE epoch < p_epoch;
    GET DIAGNOSTICS deleted = ROW_COUNT;
    DELETE FROM keyring_region_key WHERE epoch < p_epoch;
    UPDATE keyring_turn SET state = 'destroying', tenant_keys = deleted, ended_at = now() WHERE to_epoch = p_epoch;
    RETURN 0;
END
$$;

CREATE FUNCTION keyring_root_keys_destroyed(p_epoch integer, p_past_recall_at timestamptz) RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    WITH moved AS (
        UPDATE keyring_turn SET state = 'destroyed', past_recall_at = coalesce(p_past_recall_at, now())
        WHERE to_epoch = p_epoch AND state = 'destroying' RETURNING 1
    ) SELECT count(*) > 0 FROM moved
$$;

CREATE FUNCTION keyring_finish_turn(p_epoch integer) RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    WITH moved AS (
        UPDATE keyring_turn SET state = 'done', finished_at = now()
        WHERE to_epoch = p_epoch AND state = 'destroyed' RETURNING 1
    ) SELECT count(*) > 0 FROM moved
$$;

-- Whoever holds unwrapped keys hears that some are gone, whichever function took them away.
CREATE FUNCTION keyring_tell() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp
AS $$
BEGIN
    IF TG_TABLE_NAME IN ('keyring_region_key', 'keyring_tenant_key') THEN
        PERFORM pg_notify('auditvault_keys', 'epoch');
    ELSE
        PERFORM pg_notify('auditvault_keys', 'tenant ' || tenant_id) FROM (SELECT DISTINCT tenant_id FROM gone) AS t;
    END IF;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION keyring_tell() FROM PUBLIC;
DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'keyring_region_key', 'keyring_tenant_key', 'keyring_tag_secret', 'keyring_subject_key'] LOOP
        EXECUTE format('CREATE TRIGGER tell AFTER DELETE ON %I REFERENCING OLD TABLE AS gone
                        FOR EACH STATEMENT EXECUTE FUNCTION keyring_tell()', name);
    END LOOP;
END
$$;

DO $$
DECLARE signature text;
BEGIN
    FOREACH signature IN ARRAY ARRAY[
        'keyring_begin_turn(integer, uuid, bytea, text, text)',
        'keyring_rewrap_subject_keys(integer, uuid, uuid[], bytea[], bytea[])',
        'keyring_rewrap_tag_secret(integer, uuid, uuid, bytea, bytea)',
        'keyring_end_epoch(integer)',
        'keyring_root_keys_destroyed(integer, timestamptz)',
        'keyring_finish_turn(integer)'] LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', signature);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO auditvault_retention', signature);
    END LOOP;
END
$$;
