-- That somebody may look without a grant, for an hour (docs/spec/break-glass.md). It ends early once, and is reviewed
-- once, by another human, after it is over. Nothing else of it changes, which holds for the owner too.
CREATE TABLE access_break_glass (
    tenant_id uuid NOT NULL,
    break_glass_id uuid NOT NULL,
    record_id uuid NOT NULL,
    human_id uuid NOT NULL,
    holder text NOT NULL CHECK (length(holder) BETWEEN 1 AND 128),
    case_ref text NOT NULL CHECK (length(case_ref) BETWEEN 1 AND 64),
    opened_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL CHECK (expires_at > opened_at AND expires_at <= opened_at + interval '60 minutes'),
    due_at timestamptz NOT NULL CHECK (due_at > opened_at),
    ended_at timestamptz CHECK (ended_at >= opened_at AND ended_at < expires_at),
    reviewed_at timestamptz CHECK (reviewed_at >= coalesce(ended_at, expires_at)),
    reviewed_by uuid CHECK (reviewed_by <> human_id),
    reviewer text CHECK (length(reviewer) BETWEEN 1 AND 128 AND reviewer <> holder),
    verdict text CHECK (verdict IN ('justified', 'not_justified')),
    review_case text CHECK (length(review_case) BETWEEN 1 AND 64),
    PRIMARY KEY (tenant_id, break_glass_id),
    CHECK (num_nulls(reviewed_at, reviewed_by, reviewer, verdict, review_case) IN (0, 5))
);
CREATE INDEX access_break_glass_unreviewed ON access_break_glass (tenant_id, due_at) WHERE reviewed_at IS NULL;

-- A look under one, written with the access record that says so.
CREATE TABLE access_break_glass_look (
    tenant_id uuid NOT NULL,
    break_glass_id uuid NOT NULL,
    record_id uuid NOT NULL,
    objects_seen integer NOT NULL CHECK (objects_seen >= 0),
    looked_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, break_glass_id, record_id),
    FOREIGN KEY (tenant_id, break_glass_id) REFERENCES access_break_glass (tenant_id, break_glass_id)
);

CREATE FUNCTION access_break_glass_changes() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        -- Whoever comes second waits until the first has committed, and then sees it.
        PERFORM pg_advisory_xact_lock(hashtext('access_break_glass'), hashtext(NEW.tenant_id::text));
        IF NEW.ended_at IS NULL AND NEW.reviewed_at IS NULL AND NOT EXISTS (
            SELECT FROM access_break_glass AS b
            WHERE b.tenant_id = NEW.tenant_id AND (
                b.human_id = NEW.human_id AND coalesce(b.ended_at, b.expires_at) > NEW.opened_at
                OR b.reviewed_at IS NULL AND b.due_at <= NEW.opened_at))
        THEN
            RETURN NEW;
        END IF;
    ELSIF (NEW.tenant_id, NEW.break_glass_id, NEW.record_id, NEW.human_id, NEW.holder, NEW.case_ref, NEW.opened_at,
           NEW.expires_at, NEW.due_at)
        = (OLD.tenant_id, OLD.break_glass_id, OLD.record_id, OLD.human_id, OLD.holder, OLD.case_ref, OLD.opened_at,
           OLD.expires_at, OLD.due_at)
        AND OLD.reviewed_at IS NULL
        AND (OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL AND NEW.reviewed_at IS NULL
             OR OLD.ended_at IS NOT DISTINCT FROM NEW.ended_at AND NEW.reviewed_at IS NOT NULL)
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'break-glass does not come or change so: % on % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER one_way BEFORE INSERT OR UPDATE ON access_break_glass
    FOR EACH ROW EXECUTE FUNCTION access_break_glass_changes();
CREATE TRIGGER refuse_delete BEFORE DELETE ON access_break_glass
    FOR EACH ROW EXECUTE FUNCTION auditvault_refuse_change();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON access_break_glass
    FOR EACH STATEMENT EXECUTE FUNCTION auditvault_refuse_change();
SELECT auditvault_fence('access_break_glass', false);
SELECT auditvault_fence('access_break_glass_look', true);
GRANT SELECT, INSERT ON access_break_glass TO auditvault_app;
GRANT SELECT ON access_break_glass_look TO auditvault_app;

-- Notes a look under one of the transaction's tenant; false, and no row, where it is not open or somebody else's. Held
-- until the commit, so that nobody ends it between the look's record and the look.
CREATE FUNCTION access_look_under_break_glass(looked_under uuid, who uuid, record uuid, seen integer, at timestamptz)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    PERFORM FROM access_break_glass
    WHERE tenant_id = auditvault_tenant() AND break_glass_id = looked_under AND human_id = who
        AND opened_at <= at AND at < expires_at AND ended_at IS NULL
    FOR SHARE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO access_break_glass_look VALUES (auditvault_tenant(), looked_under, record, seen, at);
    RETURN true;
END
$$;

-- Ends one of the transaction's tenant early; false where there is none, or it is over.
CREATE FUNCTION access_end_break_glass(ended uuid, at timestamptz) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    UPDATE access_break_glass SET ended_at = at
    WHERE tenant_id = auditvault_tenant() AND break_glass_id = ended AND ended_at IS NULL AND expires_at > at;
    RETURN FOUND;
END
$$;

-- Reviews one of the transaction's tenant; false where there is none, it is open, or was reviewed before.
CREATE FUNCTION access_review_break_glass(
    reviewed uuid, by_human uuid, by_actor text, said text, under_case text, at timestamptz) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    UPDATE access_break_glass
    SET reviewed_at = at, reviewed_by = by_human, reviewer = by_actor, verdict = said, review_case = under_case
    WHERE tenant_id = auditvault_tenant() AND break_glass_id = reviewed AND reviewed_at IS NULL
        AND coalesce(ended_at, expires_at) <= at;
    RETURN FOUND;
END
$$;
REVOKE ALL ON FUNCTION access_look_under_break_glass(uuid, uuid, uuid, integer, timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION access_end_break_glass(uuid, timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION access_review_break_glass(uuid, uuid, text, text, text, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION access_look_under_break_glass(uuid, uuid, uuid, integer, timestamptz) TO auditvault_app;
GRANT EXECUTE ON FUNCTION access_end_break_glass(uuid, timestamptz) TO auditvault_app;
GRANT EXECUTE ON FUNCTION access_review_break_glass(uuid, uuid, text, text, text, timestamptz) TO auditvault_app;
