-- Plans that somebody asked to have approved (docs/spec/approvals.md). What was asked never changes, and a state moves
-- only forwards: the trigger keeps it for every role. The application moves one by a function, and changes nothing else.
CREATE TABLE access_approval (
    tenant_id uuid NOT NULL,
    approval_id uuid NOT NULL,
    operation text NOT NULL CHECK (operation ~ '^[a-z_]{1,32}$'),
    case_ref text NOT NULL CHECK (length(case_ref) BETWEEN 1 AND 64),
    plan bytea NOT NULL CHECK (octet_length(plan) BETWEEN 2 AND 262144),
    plan_digest bytea NOT NULL CHECK (plan_digest = sha256('\x61756469747661756c742f706c616e2f3100'::bytea || plan)),
    requested_by uuid NOT NULL,
    requester text NOT NULL CHECK (length(requester) BETWEEN 1 AND 128),
    requested_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL CHECK (expires_at > requested_at AND expires_at <= requested_at + interval '24 hours'),
    state text NOT NULL CHECK (state IN ('requested', 'approved', 'refused', 'withdrawn', 'used')),
    approved_by uuid CHECK (approved_by <> requested_by),
    approver text,
    approved_at timestamptz,
    ended_by uuid,
    ender text,
    ended_at timestamptz,
    PRIMARY KEY (tenant_id, approval_id),
    CHECK ((approved_by IS NULL) = (approved_at IS NULL) AND (approver IS NULL) = (approved_at IS NULL)),
    CHECK ((ender IS NULL) = (ended_at IS NULL) AND (ended_by IS NULL OR ended_at IS NOT NULL)),
    CHECK ((state IN ('requested', 'approved')) = (ended_at IS NULL)),
    CHECK (state NOT IN ('approved', 'used') OR approved_at IS NOT NULL),
    CHECK (state NOT IN ('requested', 'withdrawn') OR ended_by IS NULL OR ended_by = requested_by),
    CHECK (state <> 'requested' OR approved_at IS NULL)
);

CREATE FUNCTION access_approval_moves() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.state = 'requested' THEN
            RETURN NEW;
        END IF;
    ELSIF (OLD.state, NEW.state) IN (
            ('requested', 'approved'), ('requested', 'refused'), ('requested', 'withdrawn'),
            ('approved', 'refused'), ('approved', 'withdrawn'), ('approved', 'used'))
        AND (NEW.tenant_id, NEW.approval_id, NEW.operation, NEW.case_ref, NEW.plan, NEW.plan_digest,
             NEW.requested_by, NEW.requester, NEW.requested_at, NEW.expires_at)
          = (OLD.tenant_id, OLD.approval_id, OLD.operation, OLD.case_ref, OLD.plan, OLD.plan_digest,
             OLD.requested_by, OLD.requester, OLD.requested_at, OLD.expires_at)
        AND (NEW.state = 'approved' OR NOT (NEW.approved_by, NEW.approver, NEW.approved_at)
             IS DISTINCT FROM (OLD.approved_by, OLD.approver, OLD.approved_at))
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'an approval does not change so: % on % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER only_forwards BEFORE INSERT OR UPDATE ON access_approval
    FOR EACH ROW EXECUTE FUNCTION access_approval_moves();
CREATE TRIGGER refuse_delete BEFORE DELETE ON access_approval
    FOR EACH ROW EXECUTE FUNCTION auditvault_refuse_change();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON access_approval
    FOR EACH STATEMENT EXECUTE FUNCTION auditvault_refuse_change();
SELECT auditvault_fence('access_approval', false);
GRANT SELECT, INSERT ON access_approval TO auditvault_app;

-- The approval of the transaction's tenant, locked until the transaction ends. No row where there is none.
CREATE FUNCTION access_lock_approval(approval uuid) RETURNS SETOF access_approval
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT * FROM access_approval WHERE tenant_id = auditvault_tenant() AND approval_id = approval FOR UPDATE
$$;

-- Moves an approval of the transaction's tenant on; the trigger refuses every move that there is not.
CREATE FUNCTION access_move_approval(approval uuid, state_before text, state_now text, human uuid, actor text, at timestamptz)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    UPDATE access_approval SET
        state = state_now,
        approved_by = CASE WHEN state_now = 'approved' THEN human ELSE approved_by END,
        approver = CASE WHEN state_now = 'approved' THEN actor ELSE approver END,
        approved_at = CASE WHEN state_now = 'approved' THEN at ELSE approved_at END,
        ended_by = CASE WHEN state_now = 'approved' THEN NULL ELSE human END,
        ender = CASE WHEN state_now = 'approved' THEN NULL ELSE actor END,
        ended_at = CASE WHEN state_now = 'approved' THEN NULL ELSE at END
    WHERE tenant_id = auditvault_tenant() AND approval_id = approval AND state = state_before;
    RETURN FOUND;
END
$$;
REVOKE ALL ON FUNCTION access_lock_approval(uuid) FROM PUBLIC;
REVOKE ALL ON FUNCTION access_move_approval(uuid, text, text, uuid, text, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION access_lock_approval(uuid) TO auditvault_app;
GRANT EXECUTE ON FUNCTION access_move_approval(uuid, text, text, uuid, text, timestamptz) TO auditvault_app;
