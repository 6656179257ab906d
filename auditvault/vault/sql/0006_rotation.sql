-- Rotating a subject's key and sealing an object anew (docs/spec/keyring.md sections 4 and 5). Each function changes only rows
-- that are still what the caller read, and none of a subject who is erased or about to be: what an erasure has cut stays cut.

CREATE FUNCTION vault_may_rewrap(p_tenant uuid, p_subject uuid) RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    -- The lock makes an erasure that begins now wait for our transaction, and us see one that began before.
    SELECT EXISTS (
        SELECT FROM (
            SELECT state FROM vault_subject WHERE tenant_id = p_tenant AND subject_id = p_subject FOR SHARE
        ) AS s WHERE state IN ('active', 'restricted'))
$$;

-- CEKs of a subject's objects, from one DEK to another: nothing but `key_id` and `wrapped_cek` changes.
CREATE FUNCTION vault_rewrap_objects(
    p_tenant uuid, p_subject uuid, p_old_key uuid, p_new_key uuid, p_objects uuid[], p_old bytea[], p_new bytea[]
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE changed bigint;
BEGIN
    IF NOT vault_may_rewrap(p_tenant, p_subject) THEN
        RETURN 0;
    END IF;
    UPDATE vault_object AS o SET key_id = p_new_key, wrapped_cek = w.new
    FROM unnest(p_objects, p_old, p_new) AS w (object_id, old, new)
    WHERE o.tenant_id = p_tenant AND o.object_id = w.object_id AND o.subject_id = p_subject
        AND o.key_id = p_old_key AND o.wrapped_cek = w.old;
    GET DIAGNOSTICS changed = ROW_COUNT;
    RETURN changed;
END
$$;

CREATE FUNCTION vault_rewrap_identifiers(
    p_tenant uuid, p_subject uuid, p_old_key uuid, p_new_key uuid, p_objects uuid[], p_old bytea[], p_new bytea[]
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE changed bigint;
BEGIN
    IF NOT vault_may_rewrap(p_tenant, p_subject) THEN
        RETURN 0;
    END IF;
    UPDATE vault_identifier AS i SET key_id = p_new_key, wrapped_cek = w.new
    FROM unnest(p_objects, p_old, p_new) AS w (object_id, old, new)
    WHERE i.tenant_id = p_tenant AND i.subject_id = p_subject AND i.object_id = w.object_id
        AND i.key_id = p_old_key AND i.wrapped_cek = w.old;
    GET DIAGNOSTICS changed = ROW_COUNT;
    RETURN changed;
END
$$;

-- One object sealed anew under a new CEK: its next version takes the place of the one that the caller opened.
CREATE FUNCTION vault_reseal_object(
    p_tenant uuid, p_subject uuid, p_object uuid, p_version integer, p_key uuid, p_old bytea, p_new bytea,
    p_envelope bytea
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE changed bigint;
BEGIN
    IF NOT vault_may_rewrap(p_tenant, p_subject) THEN
        RETURN 0;
    END IF;
    UPDATE vault_object SET version = p_version + 1, wrapped_cek = p_new, envelope = p_envelope
    WHERE tenant_id = p_tenant AND object_id = p_object AND subject_id = p_subject AND version = p_version
        AND key_id = p_key AND wrapped_cek = p_old;
    GET DIAGNOSTICS changed = ROW_COUNT;
    RETURN changed;
END
$$;

-- The same for a content in pieces. Those of the next version lie there, all of them, and those of other versions go.
CREATE FUNCTION vault_reseal_large(
    p_tenant uuid, p_subject uuid, p_object uuid, p_version integer, p_key uuid, p_old bytea, p_new_version integer,
    p_new bytea, p_head bytea, p_pieces bigint
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    IF p_new_version <= p_version OR NOT vault_may_rewrap(p_tenant, p_subject) THEN
        RETURN 0;
    END IF;
    PERFORM FROM vault_object
    WHERE tenant_id = p_tenant AND object_id = p_object AND subject_id = p_subject AND version = p_version
        AND key_id = p_key AND wrapped_cek = p_old FOR UPDATE;
    IF NOT FOUND OR p_pieces <> (SELECT count(*) FROM vault_piece
        WHERE tenant_id = p_tenant AND object_id = p_object AND version = p_new_version) THEN
        RETURN 0;
    END IF;
    UPDATE vault_object SET version = p_new_version, wrapped_cek = p_new, envelope = p_head
    WHERE tenant_id = p_tenant AND object_id = p_object;
    DELETE FROM vault_piece WHERE tenant_id = p_tenant AND object_id = p_object AND version <> p_new_version;
    RETURN 1;
END
$$;

-- Pieces that no row names: of a version that did not take its place. Waits for whoever is about to put one there.
CREATE FUNCTION vault_drop_stray_pieces(p_tenant uuid, p_object uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE current integer;
BEGIN
    SELECT version INTO current FROM vault_object WHERE tenant_id = p_tenant AND object_id = p_object FOR UPDATE;
    DELETE FROM vault_piece
    WHERE tenant_id = p_tenant AND object_id = p_object AND version IS DISTINCT FROM current;
END
$$;

REVOKE ALL ON FUNCTION vault_may_rewrap(uuid, uuid) FROM PUBLIC;
DO $$
DECLARE signature text;
BEGIN
    FOREACH signature IN ARRAY ARRAY[
        'vault_rewrap_objects(uuid, uuid, uuid, uuid, uuid[], bytea[], bytea[])',
        'vault_rewrap_identifiers(uuid, uuid, uuid, uuid, uuid[], bytea[], bytea[])',
        'vault_reseal_object(uuid, uuid, uuid, integer, uuid, bytea, bytea, bytea)',
        'vault_reseal_large(uuid, uuid, uuid, integer, uuid, bytea, integer, bytea, bytea, bigint)',
        'vault_drop_stray_pieces(uuid, uuid)'] LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', signature);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO auditvault_retention', signature);
    END LOOP;
END
$$;
