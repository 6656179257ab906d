-- Legal holds (docs/spec/legal-holds.md). Placed and released by the two functions below only; the reason is sealed in
-- the vault. What enforces them here: no erasure begins, and no object goes, that one covers.

CREATE TABLE legal_hold (
    tenant_id uuid NOT NULL,
    hold_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('subject', 'trace', 'case', 'records', 'period', 'tenant')),
    -- The scope's canonical JSON, and its digest.
    scope bytea NOT NULL,
    scope_digest bytea NOT NULL CHECK (octet_length(scope_digest) = 32),
    cases text[],
    -- A record's id begins with its time: a period is a range of ids.
    first_record uuid,
    end_record uuid,
    reference text NOT NULL CHECK (reference ~ '^[A-Za-z0-9][A-Za-z0-9._/#-]{0,63}$'),
    placed_by uuid NOT NULL,
    custodian uuid NOT NULL,
    review_on date NOT NULL,
    reason_object uuid NOT NULL,
    placed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    released_at timestamptz,
    released_by uuid,
    CHECK (num_nulls(released_at, released_by) IN (0, 2)),
    CHECK ((kind = 'case') = (cases IS NOT NULL)),
    CHECK ((kind = 'period') = (num_nonnulls(first_record, end_record) > 0)),
    PRIMARY KEY (tenant_id, hold_id)
);
CREATE INDEX legal_hold_in_force ON legal_hold (tenant_id) WHERE released_at IS NULL;

-- Subjects, records, and traces (whose ids have 16 bytes too) that holds name.
CREATE TABLE legal_hold_member (
    tenant_id uuid NOT NULL,
    hold_id uuid NOT NULL,
    member uuid NOT NULL,
    PRIMARY KEY (tenant_id, hold_id, member),
    FOREIGN KEY (tenant_id, hold_id) REFERENCES legal_hold (tenant_id, hold_id)
);

-- Which records were put to a case, before or after a hold on it.
CREATE TABLE legal_case_record (
    tenant_id uuid NOT NULL,
    case_ref text NOT NULL CHECK (case_ref ~ '^[A-Za-z0-9][A-Za-z0-9._/#-]{0,63}$'),
    record_id uuid NOT NULL,
    put_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, record_id, case_ref)
);

SELECT auditvault_fence('legal_hold', false);
SELECT auditvault_fence('legal_hold_member', true);
SELECT auditvault_fence('legal_case_record', true);
GRANT SELECT ON legal_hold, legal_hold_member, legal_case_record TO auditvault_app;
GRANT INSERT ON legal_case_record TO auditvault_app;

CREATE FUNCTION legal_hold_refuse_change() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.released_at IS NULL AND NEW.released_at IS NOT NULL
        AND to_jsonb(NEW) - ARRAY['released_at', 'released_by'] = to_jsonb(OLD) - ARRAY['released_at', 'released_by'] THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION '% of % is refused', TG_OP, TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON legal_hold
    FOR EACH ROW EXECUTE FUNCTION legal_hold_refuse_change();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON legal_hold
    FOR EACH STATEMENT EXECUTE FUNCTION auditvault_refuse_change();

-- Whether a hold that is for neither subjects nor all of a tenant covers a record of its tenant.
CREATE FUNCTION legal_hold_covers_record(h legal_hold, p_record uuid) RETURNS boolean
LANGUAGE sql STABLE
AS $$
    SELECT CASE h.kind
        WHEN 'period' THEN (h.first_record IS NULL OR p_record >= h.first_record)
            AND (h.end_record IS NULL OR p_record < h.end_record)
        WHEN 'records' THEN EXISTS (SELECT FROM legal_hold_member AS m
            WHERE m.tenant_id = h.tenant_id AND m.hold_id = h.hold_id AND m.member = p_record)
        WHEN 'trace' THEN EXISTS (SELECT FROM traces_header AS t JOIN legal_hold_member AS m
            ON m.tenant_id = h.tenant_id AND m.hold_id = h.hold_id AND m.member = encode(t.trace_id, 'hex')::uuid
            WHERE t.tenant_id = h.tenant_id AND t.record_id = p_record)
        WHEN 'case' THEN EXISTS (SELECT FROM legal_case_record AS c
            WHERE c.tenant_id = h.tenant_id AND c.record_id = p_record AND c.case_ref = ANY (h.cases))
        ELSE false END
$$;

-- The holds in force that name all of the tenant, or somebody of these subjects or who is one person with them.
CREATE FUNCTION legal_holds_by_name(p_tenant uuid, p_subjects uuid[]) RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT h.hold_id FROM legal_hold AS h WHERE h.tenant_id = p_tenant AND h.released_at IS NULL
    AND (h.kind = 'tenant' OR h.kind = 'subject' AND EXISTS (
        SELECT FROM legal_hold_member AS m WHERE m.tenant_id = p_tenant AND m.hold_id = h.hold_id AND m.member IN (
            SELECT vault_subject_group(p_tenant, subject) FROM unnest(p_subjects) AS subject)))
$$;

-- Every hold in force that covers something of these subjects. Who is erased goes whole, so one held record is enough.
CREATE FUNCTION legal_holds_over_subjects(p_tenant uuid, p_subjects uuid[]) RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT legal_holds_by_name(p_tenant, p_subjects)
    UNION
    SELECT h.hold_id FROM legal_hold AS h WHERE h.tenant_id = p_tenant AND h.released_at IS NULL
    AND h.kind NOT IN ('tenant', 'subject') AND EXISTS (
        SELECT FROM (
            SELECT o.record_id FROM vault_object AS o WHERE o.tenant_id = p_tenant AND o.subject_id = ANY (p_subjects)
            UNION ALL
            SELECT r.record_id FROM vault_record AS r WHERE r.tenant_id = p_tenant AND r.subject_id = ANY (p_subjects)
        ) AS own WHERE legal_hold_covers_record(h, own.record_id))
$$;

-- The lock: whoever places a hold has the tenant's to themselves, whoever begins an erasure shares it. So they come in
-- one order, and neither half: a hold that is there refuses, and an erasure that has begun is not stopped half-way.
CREATE FUNCTION legal_hold_refuse_erasure() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    holds uuid[];
BEGIN
    IF EXISTS (SELECT FROM vault_erasure AS e WHERE e.tenant_id = NEW.tenant_id AND e.erasure_id = NEW.erasure_id) THEN
        RETURN NEW;
    END IF;
    PERFORM pg_advisory_xact_lock_shared(hashtext('legal_hold'), hashtext(NEW.tenant_id::text));
    holds := ARRAY(SELECT legal_holds_over_subjects(NEW.tenant_id, NEW.subject_ids));
    IF cardinality(holds) > 0 THEN
        RAISE EXCEPTION 'what a legal hold covers is not erased'
            USING ERRCODE = 'AVH01', DETAIL = array_to_string(holds, ',');
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER refuse_held BEFORE INSERT ON vault_erasure
    FOR EACH ROW EXECUTE FUNCTION legal_hold_refuse_erasure();

-- Whoever deletes an object: the second line. What belongs to somebody whose erasure has begun is past the first.
CREATE FUNCTION legal_hold_refuse_object() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM legal_hold AS h WHERE h.tenant_id = OLD.tenant_id AND h.released_at IS NULL)
        AND NOT EXISTS (SELECT FROM vault_subject AS s WHERE s.tenant_id = OLD.tenant_id
                        AND s.subject_id = OLD.subject_id AND s.state IN ('erasing', 'erased'))
        AND (EXISTS (SELECT legal_holds_by_name(OLD.tenant_id, ARRAY[OLD.subject_id]))
             OR EXISTS (SELECT FROM legal_hold AS h WHERE h.tenant_id = OLD.tenant_id AND h.released_at IS NULL
                        AND legal_hold_covers_record(h, OLD.record_id))) THEN
        RAISE EXCEPTION 'what a legal hold covers is not deleted' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN OLD;
END
$$;
CREATE TRIGGER refuse_held BEFORE DELETE ON vault_object
    FOR EACH ROW EXECUTE FUNCTION legal_hold_refuse_object();

-- Places a hold of the transaction's tenant. Returns how many of the subjects that it names were being, or were, erased
-- before: they stay so.
CREATE FUNCTION legal_hold_place(placed legal_hold, members uuid[]) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    IF placed.tenant_id IS DISTINCT FROM auditvault_tenant() OR placed.released_at IS NOT NULL THEN
        RAISE EXCEPTION 'a hold is of the tenant, and is not released' USING ERRCODE = 'insufficient_privilege';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('legal_hold'), hashtext(placed.tenant_id::text));
    placed.placed_at := clock_timestamp();
    INSERT INTO legal_hold SELECT placed.*;
    INSERT INTO legal_hold_member SELECT placed.tenant_id, placed.hold_id, member FROM unnest(members) AS member;
    RETURN (SELECT count(*) FROM vault_subject AS s WHERE placed.kind = 'subject' AND s.tenant_id = placed.tenant_id
            AND s.subject_id = ANY (members) AND s.state IN ('erasing', 'erased'));
END
$$;

-- Whether it was in force. An approval of exactly this was used before, by the caller.
CREATE FUNCTION legal_hold_release(p_hold uuid, p_human uuid) RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    WITH released AS (
        UPDATE legal_hold SET released_at = clock_timestamp(), released_by = p_human
        WHERE tenant_id = auditvault_tenant() AND hold_id = p_hold AND released_at IS NULL RETURNING 1
    ) SELECT EXISTS (SELECT FROM released)
$$;

-- How many holds of a tenant are in force, for whoever prunes its logs.
CREATE FUNCTION legal_holds_in_force(p_tenant uuid) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT count(*) FROM legal_hold AS h WHERE h.tenant_id = p_tenant AND h.released_at IS NULL
$$;

-- Tenants that have, or had, a hold.
CREATE FUNCTION legal_hold_tenants() RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$ SELECT DISTINCT h.tenant_id FROM legal_hold AS h ORDER BY 1 $$;

REVOKE ALL ON FUNCTION legal_hold_refuse_change(), legal_hold_covers_record(legal_hold, uuid),
    legal_holds_by_name(uuid, uuid[]), legal_holds_over_subjects(uuid, uuid[]), legal_hold_refuse_erasure(),
    legal_hold_refuse_object(), legal_hold_place(legal_hold, uuid[]), legal_hold_release(uuid, uuid),
    legal_holds_in_force(uuid), legal_hold_tenants() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION legal_hold_covers_record(legal_hold, uuid), legal_hold_place(legal_hold, uuid[]),
    legal_hold_release(uuid, uuid) TO auditvault_app;
GRANT EXECUTE ON FUNCTION legal_holds_in_force(uuid), legal_hold_tenants() TO auditvault_retention;
