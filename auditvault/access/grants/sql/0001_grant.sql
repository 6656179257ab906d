-- What somebody may see of a case, for hours (docs/spec/grants.md). Only an approval that another human gave makes one: the
-- trigger asks for it, and for the same human as asked. It changes by being revoked alone, once.
CREATE TABLE access_grant (
    tenant_id uuid NOT NULL,
    grant_id uuid NOT NULL,
    approval_id uuid NOT NULL,
    human_id uuid NOT NULL,
    holder text NOT NULL CHECK (length(holder) BETWEEN 1 AND 128),
    case_ref text NOT NULL CHECK (length(case_ref) BETWEEN 1 AND 64),
    terms bytea NOT NULL CHECK (octet_length(terms) BETWEEN 2 AND 262144),
    approver text NOT NULL CHECK (length(approver) BETWEEN 1 AND 128),
    starts_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL CHECK (expires_at > starts_at AND expires_at <= starts_at + interval '24 hours'),
    revoked_at timestamptz,
    revoker text,
    PRIMARY KEY (tenant_id, grant_id),
    UNIQUE (tenant_id, approval_id),
    FOREIGN KEY (tenant_id, approval_id) REFERENCES access_approval (tenant_id, approval_id),
    CHECK ((revoked_at IS NULL) = (revoker IS NULL))
);
CREATE INDEX access_grant_live ON access_grant (tenant_id, human_id, case_ref, expires_at);

-- What was seen under a grant, written with the access record that says so.
CREATE TABLE access_grant_use (
    tenant_id uuid NOT NULL,
    grant_id uuid NOT NULL,
    record_id uuid NOT NULL,
    object_id uuid NOT NULL,
    used_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, grant_id, record_id, object_id),
    FOREIGN KEY (tenant_id, grant_id) REFERENCES access_grant (tenant_id, grant_id)
);

CREATE FUNCTION access_grant_changes() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.revoked_at IS NULL AND EXISTS (
            SELECT FROM access_approval AS a
            WHERE a.tenant_id = NEW.tenant_id AND a.approval_id = NEW.approval_id AND a.operation = 'content_grant'
                AND a.requested_by = NEW.human_id AND a.requester = NEW.holder AND a.case_ref = NEW.case_ref
                AND a.approver = NEW.approver AND a.state IN ('approved', 'used'))
        THEN
            RETURN NEW;
        END IF;
    ELSIF OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL
        AND (NEW.tenant_id, NEW.grant_id, NEW.approval_id, NEW.human_id, NEW.holder, NEW.case_ref, NEW.terms,
             NEW.approver, NEW.starts_at, NEW.expires_at)
          = (OLD.tenant_id, OLD.grant_id, OLD.approval_id, OLD.human_id, OLD.holder, OLD.case_ref, OLD.terms,
             OLD.approver, OLD.starts_at, OLD.expires_at)
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a grant does not come or change so: % on % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER approved_and_once BEFORE INSERT OR UPDATE ON access_grant
    FOR EACH ROW EXECUTE FUNCTION access_grant_changes();
CREATE TRIGGER refuse_delete BEFORE DELETE ON access_grant
    FOR EACH ROW EXECUTE FUNCTION auditvault_refuse_change();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON access_grant
    FOR EACH STATEMENT EXECUTE FUNCTION auditvault_refuse_change();
SELECT auditvault_fence('access_grant', false);
SELECT auditvault_fence('access_grant_use', true);
GRANT SELECT, INSERT ON access_grant, access_grant_use TO auditvault_app;

-- Takes a grant of the transaction's tenant back; false where there is none, or it was taken back before.
CREATE FUNCTION access_revoke_grant(revoked uuid, actor text, at timestamptz) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    UPDATE access_grant SET revoked_at = at, revoker = actor
    WHERE tenant_id = auditvault_tenant() AND grant_id = revoked AND revoked_at IS NULL;
    RETURN FOUND;
END
$$;
REVOKE ALL ON FUNCTION access_revoke_grant(uuid, text, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION access_revoke_grant(uuid, text, timestamptz) TO auditvault_app;
