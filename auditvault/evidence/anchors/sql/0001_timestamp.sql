-- Time stamps over super-roots: docs/spec/timestamp.md section 4. Written by one function, changed by nobody.

-- One stamp of the whole region. Leaf hashes tell nothing of a log: no tenant, no origin and no size is here.
CREATE TABLE evidence_timestamp (
    timestamp_id uuid PRIMARY KEY,
    asked_at timestamptz NOT NULL,
    gen_time timestamptz NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    size bigint NOT NULL CHECK (size > 0),
    root bytea NOT NULL CHECK (octet_length(root) = 32),
    leaves bytea NOT NULL CHECK (octet_length(leaves) = size * 32),
    response bytea NOT NULL CHECK (octet_length(response) BETWEEN 1 AND 65536)
);
ALTER TABLE evidence_timestamp ALTER leaves SET STORAGE EXTERNAL;
CREATE INDEX evidence_timestamp_gen_time ON evidence_timestamp (gen_time);
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON evidence_timestamp
    FOR EACH ROW EXECUTE FUNCTION auditvault_refuse_change();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON evidence_timestamp
    FOR EACH STATEMENT EXECUTE FUNCTION auditvault_refuse_change();
REVOKE ALL ON evidence_timestamp FROM PUBLIC;
GRANT SELECT ON evidence_timestamp TO auditvault_app;

-- The first stamp over each size of a log, and its leaf's place there. A log that does not grow gets no further row.
CREATE TABLE evidence_stamped (
    tenant_id uuid NOT NULL,
    log_id integer NOT NULL,
    size bigint NOT NULL CHECK (size >= 0),
    timestamp_id uuid NOT NULL,
    leaf_index bigint NOT NULL CHECK (leaf_index >= 0),
    PRIMARY KEY (tenant_id, log_id, size)
);
SELECT auditvault_fence('evidence_stamped', true);
GRANT SELECT ON evidence_stamped TO auditvault_app;

-- The newest checkpoint of every log of the region, as the signer published it.
CREATE FUNCTION evidence_newest_checkpoints()
RETURNS TABLE (log_id integer, origin text, size bigint, root bytea, note text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT l.log_id, l.origin, c.size, c.root, c.note
    FROM ledger_log AS l CROSS JOIN LATERAL (
        SELECT * FROM ledger_checkpoint AS newest
        WHERE newest.tenant_id = l.tenant_id AND newest.log_id = l.log_id
        ORDER BY newest.size DESC, newest.signed_at DESC LIMIT 1
    ) AS c
$$;

-- Stores a stamp, and which log's checkpoint stands at which leaf: `p_logs` and `p_sizes` in the order of the leaves.
-- Refuses checkpoints that the signer has not published.
CREATE FUNCTION evidence_store_timestamp(
    p_id uuid, p_asked_at timestamptz, p_gen_time timestamptz, p_root bytea, p_leaves bytea, p_response bytea,
    p_logs integer[], p_sizes bigint[]
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    known bigint;
BEGIN
    SELECT count(*) INTO known
    FROM unnest(p_logs, p_sizes) AS leaf (log_id, size) JOIN ledger_log AS l USING (log_id)
    WHERE EXISTS (
        SELECT FROM ledger_checkpoint AS c
        WHERE c.tenant_id = l.tenant_id AND c.log_id = l.log_id AND c.size = leaf.size
    );
    IF known <> cardinality(p_logs) OR known <> cardinality(p_sizes) THEN
        RAISE EXCEPTION 'a time stamp is over checkpoints that were published, one a leaf'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    INSERT INTO evidence_timestamp (timestamp_id, asked_at, gen_time, size, root, leaves, response)
        VALUES (p_id, p_asked_at, p_gen_time, known, p_root, p_leaves, p_response);
    INSERT INTO evidence_stamped (tenant_id, log_id, size, timestamp_id, leaf_index)
        SELECT l.tenant_id, l.log_id, leaf.size, p_id, leaf.place - 1
        FROM unnest(p_logs, p_sizes) WITH ORDINALITY AS leaf (log_id, size, place)
        JOIN ledger_log AS l USING (log_id)
        ON CONFLICT DO NOTHING;
END
$$;

REVOKE ALL ON FUNCTION evidence_newest_checkpoints(),
    evidence_store_timestamp(uuid, timestamptz, timestamptz, bytea, bytea, bytea, integer[], bigint[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION evidence_newest_checkpoints(),
    evidence_store_timestamp(uuid, timestamptz, timestamptz, bytea, bytea, bytea, integer[], bigint[])
    TO auditvault_app;
