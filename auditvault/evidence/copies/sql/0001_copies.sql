-- How far each log was copied: docs/spec/copies.md section 3. It saves work; the store is the truth.

CREATE TABLE evidence_copy (
    tenant_id uuid NOT NULL,
    log_id integer NOT NULL,
    -- SHA-256 of the store's URL: another store begins anew.
    store bytea NOT NULL CHECK (octet_length(store) = 32),
    -- Entries whose full tiles and bundles are in the store.
    size bigint NOT NULL CHECK (size >= 0 AND size % 256 = 0),
    -- The newest checkpoint in the store, by name.
    checkpoint text CHECK (checkpoint ~ '^[0-9]{19}-[0-9a-f]{64}$'),
    -- When a checkpoint of that size was last signed.
    signed_at timestamptz,
    PRIMARY KEY (tenant_id, log_id, store),
    CHECK ((checkpoint IS NULL) = (signed_at IS NULL))
);
SELECT auditvault_fence('evidence_copy', false);
GRANT SELECT ON evidence_copy TO auditvault_app;

-- Moves a log's row on, from what its reader saw in it: NULLs and 0 where there was none. False where another worker
-- has moved it. The application changes no row but through this.
CREATE FUNCTION evidence_move_copy(
    p_log integer, p_store bytea, p_old_size bigint, p_old_checkpoint text,
    p_size bigint, p_checkpoint text, p_signed_at timestamptz
) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM ledger_log WHERE tenant_id = auditvault_tenant() AND log_id = p_log) THEN
        RAISE EXCEPTION 'no log of this tenant' USING ERRCODE = 'insufficient_privilege';
    END IF;
    INSERT INTO evidence_copy (tenant_id, log_id, store, size) VALUES (auditvault_tenant(), p_log, p_store, 0)
        ON CONFLICT DO NOTHING;
    UPDATE evidence_copy SET size = p_size, checkpoint = p_checkpoint, signed_at = p_signed_at
        WHERE tenant_id = auditvault_tenant() AND log_id = p_log AND store = p_store
            AND size = p_old_size AND checkpoint IS NOT DISTINCT FROM p_old_checkpoint;
    RETURN FOUND;
END
$$;
REVOKE ALL ON FUNCTION evidence_move_copy(integer, bytea, bigint, text, bigint, text, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION evidence_move_copy(integer, bytea, bigint, text, bigint, text, timestamptz)
    TO auditvault_app;

-- For each log with entries that are signed: the instant that its copy is as new as; its beginning where there is none.
CREATE FUNCTION evidence_copied_until(p_store bytea) RETURNS timestamptz
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT min(coalesce(c.signed_at, l.created_at))
    FROM ledger_log AS l LEFT JOIN evidence_copy AS c
        ON c.tenant_id = l.tenant_id AND c.log_id = l.log_id AND c.store = p_store
    WHERE EXISTS (
        SELECT FROM ledger_checkpoint AS p
        WHERE p.tenant_id = l.tenant_id AND p.log_id = l.log_id AND p.size > 0
    )
$$;
REVOKE ALL ON FUNCTION evidence_copied_until(bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION evidence_copied_until(bytea) TO auditvault_app;
