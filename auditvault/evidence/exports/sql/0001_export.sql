-- Exports. `request` is canonical JSON: filters that name nobody, and the form. Changed by the functions alone, along
-- queued -> made -> fetched, or cancelled; `state` of one that is over its time does not matter.
CREATE TABLE evidence_export (
    tenant_id uuid NOT NULL,
    export_id uuid NOT NULL,
    human uuid NOT NULL,
    actor text NOT NULL,
    request bytea NOT NULL CHECK (octet_length(request) <= 4096),
    certificate bytea NOT NULL CHECK (octet_length(certificate) <= 16384),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL CHECK (expires_at > created_at),
    state text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'made', 'fetched', 'cancelled', 'failed')),
    attempts integer NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    cursor text,
    row_count integer NOT NULL DEFAULT 0,
    part_count integer NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, export_id)
);
SELECT auditvault_fence('evidence_export', false);
GRANT SELECT ON evidence_export TO auditvault_app;
GRANT INSERT (tenant_id, export_id, human, actor, request, certificate, created_at, expires_at)
    ON evidence_export TO auditvault_app;

CREATE TABLE evidence_export_part (
    tenant_id uuid NOT NULL,
    export_id uuid NOT NULL,
    number integer NOT NULL CHECK (number >= 1),
    row_count integer NOT NULL,
    sha256 bytea NOT NULL CHECK (octet_length(sha256) = 32),
    body bytea NOT NULL,
    PRIMARY KEY (tenant_id, export_id, number),
    FOREIGN KEY (tenant_id, export_id) REFERENCES evidence_export
);
SELECT auditvault_fence('evidence_export_part', false);
GRANT SELECT ON evidence_export_part TO auditvault_app;

-- Claims the export that has waited longest, of whichever tenant, for the lease; after ten attempts it has failed.
CREATE FUNCTION evidence_claim_export(lease interval) RETURNS SETOF evidence_export
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    UPDATE evidence_export SET state = 'failed' WHERE state = 'queued' AND attempts >= 10 AND due_at <= clock_timestamp();
    UPDATE evidence_export AS e SET attempts = e.attempts + 1, due_at = clock_timestamp() + lease
    WHERE (e.tenant_id, e.export_id) = (
        SELECT w.tenant_id, w.export_id FROM evidence_export AS w
        WHERE w.state = 'queued' AND w.due_at <= clock_timestamp() AND w.expires_at > clock_timestamp()
        ORDER BY w.due_at LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING e.*
$$;

-- Adds the next part, for whoever holds the claim. False: the export was cancelled, or another attempt has begun.
CREATE FUNCTION evidence_add_part(
    export uuid, attempt integer, rows_in integer, hash bytea, bytes bytea, next_cursor text, lease interval
) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    known evidence_export;
BEGIN
    UPDATE evidence_export SET part_count = part_count + 1, row_count = row_count + rows_in, cursor = next_cursor,
        due_at = clock_timestamp() + lease
    WHERE tenant_id = auditvault_tenant() AND export_id = export AND attempts = attempt AND state = 'queued'
    RETURNING * INTO known;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO evidence_export_part VALUES (known.tenant_id, export, known.part_count, rows_in, hash, bytes);
    RETURN true;
END
$$;

-- Moves an export on: 'made' by whoever holds the claim, 'cancelled' and 'fetched' by its human. False: not so now.
CREATE FUNCTION evidence_move_export(export uuid, state_now text, attempt integer, who uuid) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    UPDATE evidence_export SET state = state_now
    WHERE tenant_id = auditvault_tenant() AND export_id = export AND expires_at > clock_timestamp() AND CASE state_now
        WHEN 'made' THEN state = 'queued' AND attempts = attempt
        WHEN 'cancelled' THEN state IN ('queued', 'made') AND human = who
        WHEN 'fetched' THEN state = 'made' AND human = who
        ELSE false END;
    RETURN FOUND;
END
$$;

-- Deletes parts that nobody will fetch any more.
CREATE FUNCTION evidence_forget_parts() RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    WITH gone AS (
        DELETE FROM evidence_export_part AS p USING evidence_export AS e
        WHERE (p.tenant_id, p.export_id) = (e.tenant_id, e.export_id)
            AND (e.state IN ('fetched', 'cancelled', 'failed') OR e.expires_at <= clock_timestamp())
        RETURNING 1
    )
    SELECT count(*) FROM gone
$$;

REVOKE ALL ON FUNCTION evidence_claim_export(interval), evidence_forget_parts(),
    evidence_add_part(uuid, integer, integer, bytea, bytea, text, interval),
    evidence_move_export(uuid, text, integer, uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION evidence_claim_export(interval), evidence_forget_parts(),
    evidence_add_part(uuid, integer, integer, bytea, bytea, text, interval),
    evidence_move_export(uuid, text, integer, uuid) TO auditvault_app;
