-- The log: heads, entries, tiles, checkpoints. Formats: docs/spec/entry.md and docs/spec/checkpoint.md.
--
-- The application inserts and reads, and nothing more. It moves a head only through the two functions below,
-- which never let a head go back.

CREATE TABLE ledger_log (
    log_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('interactions', 'access', 'admin')),
    origin text NOT NULL UNIQUE CHECK (origin ~ '^[A-Za-z0-9._:/-]{1,255}$'),
    -- Entries to a partition: a multiple of a tile, so that a pruned partition never cuts a tile.
    partition_entries bigint NOT NULL DEFAULT 262144
        CHECK (partition_entries > 0 AND partition_entries % 256 = 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, kind),
    UNIQUE (tenant_id, log_id)
);

CREATE TABLE ledger_head (
    tenant_id uuid NOT NULL,
    log_id integer NOT NULL,
    size bigint NOT NULL DEFAULT 0 CHECK (size >= 0),
    -- The compact range of the tree at `size`: 32-byte nodes, biggest subtree first.
    range bytea NOT NULL DEFAULT '' CHECK (octet_length(range) % 32 = 0),
    last_leaf bytea NOT NULL DEFAULT decode(repeat('00', 32), 'hex') CHECK (octet_length(last_leaf) = 32),
    last_at timestamptz NOT NULL DEFAULT '-infinity',
    PRIMARY KEY (tenant_id, log_id),
    FOREIGN KEY (tenant_id, log_id) REFERENCES ledger_log (tenant_id, log_id)
) WITH (fillfactor = 50);

CREATE TABLE ledger_entry (
    tenant_id uuid NOT NULL,
    log_id integer NOT NULL,
    idx bigint NOT NULL CHECK (idx >= 0),
    record_id uuid NOT NULL,
    leaf_hash bytea NOT NULL CHECK (octet_length(leaf_hash) = 32),
    entry bytea NOT NULL CHECK (octet_length(entry) BETWEEN 1 AND 65535),
    PRIMARY KEY (tenant_id, log_id, idx)
) PARTITION BY RANGE (log_id, idx);
CREATE INDEX ledger_entry_record ON ledger_entry (tenant_id, record_id);

CREATE TABLE ledger_tile (
    tenant_id uuid NOT NULL,
    log_id integer NOT NULL,
    level smallint NOT NULL CHECK (level BETWEEN 0 AND 7),
    n bigint NOT NULL CHECK (n >= 0),
    width smallint NOT NULL DEFAULT 256 CHECK (width BETWEEN 1 AND 256),
    hashes bytea NOT NULL CHECK (octet_length(hashes) = width * 32),
    -- The root of the subtree under this tile, so that a tile above it need not be recomputed from all leaves.
    root bytea NOT NULL CHECK (octet_length(root) = 32),
    PRIMARY KEY (tenant_id, log_id, level, n, width)
);
ALTER TABLE ledger_tile ALTER hashes SET STORAGE EXTERNAL;

CREATE TABLE ledger_checkpoint (
    tenant_id uuid NOT NULL,
    log_id integer NOT NULL,
    size bigint NOT NULL CHECK (size >= 0),
    root bytea NOT NULL CHECK (octet_length(root) = 32),
    note text NOT NULL,
    signed_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, log_id, size, signed_at)
);

SELECT auditvault_fence(name, true)
FROM unnest(ARRAY['ledger_log', 'ledger_entry', 'ledger_tile', 'ledger_checkpoint']) AS name;
SELECT auditvault_fence('ledger_head', false);
CREATE TRIGGER refuse_removal BEFORE DELETE ON ledger_head
    FOR EACH ROW EXECUTE FUNCTION auditvault_refuse_change();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON ledger_head
    FOR EACH STATEMENT EXECUTE FUNCTION auditvault_refuse_change();

GRANT SELECT ON ledger_log, ledger_head, ledger_entry, ledger_tile, ledger_checkpoint
    TO auditvault_app, auditvault_signer;
GRANT INSERT ON ledger_tile TO auditvault_app;
GRANT INSERT ON ledger_checkpoint TO auditvault_signer;

-- The signer works for every tenant of the region; the application role never does.
CREATE POLICY signer_reads ON ledger_log FOR SELECT TO auditvault_signer USING (true);
CREATE POLICY signer_reads ON ledger_head FOR SELECT TO auditvault_signer USING (true);
CREATE POLICY signer_reads ON ledger_entry FOR SELECT TO auditvault_signer USING (true);
CREATE POLICY signer_reads ON ledger_tile FOR SELECT TO auditvault_signer USING (true);
CREATE POLICY signer_signs ON ledger_checkpoint FOR ALL TO auditvault_signer USING (true) WITH CHECK (true);

-- Makes the partition that holds entry `p_idx` of a log where it is missing and returns its name.
CREATE FUNCTION ledger_ensure_partition(p_log integer, p_idx bigint) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    per_partition bigint;
    part bigint;
    child text;
BEGIN
    SELECT partition_entries INTO STRICT per_partition FROM ledger_log
        WHERE log_id = p_log AND tenant_id = auditvault_tenant();
    part := p_idx / per_partition;
    child := format('ledger_entry_%s_%s', p_log, part);
    PERFORM pg_advisory_xact_lock(hashtext('ledger_ensure_partition'), p_log);
    IF to_regclass(child) IS NOT NULL THEN
        RETURN child;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE ledger_entry INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)',
                   child);
    EXECUTE format('ALTER TABLE ledger_entry ATTACH PARTITION %I FOR VALUES FROM (%s, %s) TO (%s, %s)', child,
                   p_log, part * per_partition, p_log, (part + 1) * per_partition);
    EXECUTE format('CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON %I
                    FOR EACH STATEMENT EXECUTE FUNCTION auditvault_refuse_change()', child);
    EXECUTE format('REVOKE ALL ON %I FROM PUBLIC', child);
    EXECUTE format('GRANT INSERT ON %I TO auditvault_app', child);
    RETURN child;
END
$$;

-- Opens the tenant's log of one kind, or finds it: one log per tenant and kind in a region.
CREATE FUNCTION ledger_open_log(p_kind text, p_origin text, p_partition_entries bigint) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    found_id integer;
BEGIN
    IF auditvault_tenant() IS NULL THEN
        RAISE EXCEPTION 'no tenant is set' USING ERRCODE = 'insufficient_privilege';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('ledger_open_log'), hashtext(auditvault_tenant()::text));
    SELECT log_id INTO found_id FROM ledger_log WHERE tenant_id = auditvault_tenant() AND kind = p_kind;
    IF found_id IS NOT NULL THEN
        RETURN found_id;
    END IF;
    INSERT INTO ledger_log (tenant_id, kind, origin, partition_entries)
        VALUES (auditvault_tenant(), p_kind, p_origin, p_partition_entries) RETURNING log_id INTO found_id;
    INSERT INTO ledger_head (tenant_id, log_id) VALUES (auditvault_tenant(), found_id);
    PERFORM ledger_ensure_partition(found_id, 0);
    RETURN found_id;
END
$$;

-- Locks the head until the transaction ends and says where the next entry goes. `at` is the instant for the
-- entries of this transaction: the database's clock, and never before the last entry's.
CREATE FUNCTION ledger_lock_head(p_log integer)
RETURNS TABLE (size bigint, range bytea, last_leaf bytea, at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    -- In plpgsql, because a session keeps its plan: a third of what the same words cost in SQL.
    RETURN QUERY SELECT head.size, head.range, head.last_leaf, greatest(head.last_at, clock_timestamp())
    FROM ledger_head AS head
    WHERE head.log_id = p_log AND head.tenant_id = auditvault_tenant()
    FOR UPDATE;
END
$$;

-- Moves the head over entries that this transaction has written. Refuses to go back, to move from another size
-- than the caller saw, and to end on a leaf that is not there.
CREATE FUNCTION ledger_advance_head(
    p_log integer, p_from bigint, p_to bigint, p_range bytea, p_last_leaf bytea, p_at timestamptz
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    UPDATE ledger_head SET size = p_to, range = p_range, last_leaf = p_last_leaf, last_at = p_at
    WHERE log_id = p_log AND tenant_id = auditvault_tenant()
        AND size = p_from AND p_to > p_from AND p_at >= last_at
        AND EXISTS (
            SELECT FROM ledger_entry AS e
            WHERE e.tenant_id = auditvault_tenant() AND e.log_id = p_log
                AND e.idx = p_to - 1 AND e.leaf_hash = p_last_leaf
        );
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the head of log % cannot move from % to %', p_log, p_from, p_to
            USING ERRCODE = 'serialization_failure';
    END IF;
END
$$;

-- Every log of the region, for verification: a log is known by its origin, never by its content.
CREATE FUNCTION ledger_all_logs() RETURNS TABLE (tenant_id uuid, log_id integer, kind text, origin text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$ SELECT l.tenant_id, l.log_id, l.kind, l.origin FROM ledger_log AS l ORDER BY l.log_id $$;

-- Entries in all logs of each kind, for the metrics: a number, and nobody's.
CREATE FUNCTION ledger_sizes() RETURNS TABLE (kind text, size bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT l.kind, sum(h.size)::bigint FROM ledger_log AS l JOIN ledger_head AS h USING (tenant_id, log_id)
    GROUP BY l.kind
$$;

REVOKE ALL ON FUNCTION ledger_ensure_partition(integer, bigint), ledger_open_log(text, text, bigint),
    ledger_lock_head(integer), ledger_advance_head(integer, bigint, bigint, bytea, bytea, timestamptz),
    ledger_all_logs(), ledger_sizes() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger_ensure_partition(integer, bigint), ledger_open_log(text, text, bigint),
    ledger_lock_head(integer), ledger_advance_head(integer, bigint, bigint, bytea, bytea, timestamptz),
    ledger_all_logs(), ledger_sizes() TO auditvault_app;
