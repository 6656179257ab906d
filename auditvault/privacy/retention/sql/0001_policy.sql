-- Retention policies (docs/spec/retention-policy.md). A version is added, never changed: who has to show what was in
-- force on a day looks here. The one in force is the newest whose time has come.

CREATE TABLE retention_policy (
    tenant_id uuid NOT NULL,
    version integer NOT NULL CHECK (version >= 1),
    -- As it was handed in: its SHA-256 is what was approved.
    document bytea NOT NULL CHECK (octet_length(document) BETWEEN 2 AND 262144),
    -- SHA-256 of the one that was in force when this was set.
    old bytea CHECK (octet_length(old) = 32),
    approval_id uuid,
    approved_at timestamptz,
    in_force_at timestamptz NOT NULL,
    -- The admin record that says so.
    record_id uuid NOT NULL,
    set_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (num_nulls(approval_id, approved_at) IN (0, 2)),
    -- Nothing went before the first, so it lets something go earlier.
    CONSTRAINT first_is_approved CHECK (old IS NOT NULL OR approval_id IS NOT NULL),
    CONSTRAINT shortening_waits CHECK (approval_id IS NULL OR in_force_at >= approved_at + interval '168 hours'),
    PRIMARY KEY (tenant_id, version)
);
SELECT auditvault_fence('retention_policy', true);
GRANT SELECT, INSERT (tenant_id, version, document, old, approval_id, approved_at, in_force_at, record_id)
    ON retention_policy TO auditvault_app;

-- Of the transaction's tenant, what is past its time, by class: a record's id begins with its time, so what is due is
-- what comes before an id. `p_others` is for data classes that are not named. Held ones are among those that are due.
CREATE FUNCTION retention_preview(p_headers uuid, p_others uuid, p_classes text[], p_before uuid[])
RETURNS TABLE (record_class text, data_class text, due bigint, held bigint, bytes bigint, oldest uuid, newest uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    WITH named AS (
        SELECT * FROM unnest(p_classes, p_before) AS pair (data_class, before)
    ), hold AS MATERIALIZED (
        SELECT h FROM legal_hold AS h WHERE h.tenant_id = auditvault_tenant() AND h.released_at IS NULL
    ), subjects_held AS MATERIALIZED (
        SELECT DISTINCT s.subject_id FROM vault_subject AS s
        WHERE s.tenant_id = auditvault_tenant() AND EXISTS (SELECT FROM hold WHERE (hold.h).kind IN ('tenant', 'subject'))
        AND EXISTS (SELECT legal_holds_by_name(s.tenant_id, ARRAY[s.subject_id]))
    ), found AS (
        SELECT 'payload' AS record_class, o.data_class, o.record_id, octet_length(o.envelope) AS size, o.subject_id
        FROM vault_object AS o LEFT JOIN named AS n ON n.data_class = o.data_class
        WHERE o.tenant_id = auditvault_tenant() AND o.record_id < coalesce(n.before, p_others)
        UNION ALL
        SELECT 'header', NULL, t.record_id, octet_length(t.header), r.subject_id
        FROM traces_header AS t LEFT JOIN vault_record AS r ON r.tenant_id = t.tenant_id AND r.record_id = t.record_id
        WHERE t.tenant_id = auditvault_tenant() AND t.record_id < p_headers
    ), judged AS (
        SELECT f.*, EXISTS (SELECT FROM hold WHERE (hold.h).kind = 'tenant' OR legal_hold_covers_record(hold.h, f.record_id))
            OR f.subject_id IN (SELECT s.subject_id FROM subjects_held AS s)
            OR f.record_class = 'header' AND EXISTS (
                SELECT FROM subjects_held AS s JOIN vault_object AS o
                ON o.tenant_id = auditvault_tenant() AND o.subject_id = s.subject_id AND o.record_id = f.record_id
            ) AS is_held
        FROM found AS f
    )
    SELECT j.record_class, j.data_class, count(*), count(*) FILTER (WHERE j.is_held), sum(j.size)::bigint,
        min(j.record_id::text COLLATE "C")::uuid, max(j.record_id::text COLLATE "C")::uuid
    FROM judged AS j GROUP BY 1, 2 ORDER BY 1, 2 NULLS FIRST
$$;
REVOKE ALL ON FUNCTION retention_preview(uuid, uuid, text[], uuid[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION retention_preview(uuid, uuid, text[], uuid[]) TO auditvault_app;
