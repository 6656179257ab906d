-- Retention runs (docs/spec/retention-run.md). Ids, counts and digests. A plan is what the application found; what is
-- destroyed is looked at again, one by one, by the function below, which only the retention role may call.

CREATE TABLE retention_run (
    tenant_id uuid NOT NULL,
    run_id uuid NOT NULL,
    state text NOT NULL DEFAULT 'planned' CHECK (state IN ('planned', 'executing', 'ended')),
    -- Nothing is destroyed while it is set.
    paused_at timestamptz,
    -- SHA-256 of the policy's document, its version, and the day (UTC) as of which it was asked.
    policy bytea NOT NULL CHECK (octet_length(policy) = 32),
    version integer NOT NULL CHECK (version >= 1),
    as_of date NOT NULL,
    plan bytea NOT NULL,
    digest bytea NOT NULL CHECK (octet_length(digest) = 32),
    due bigint NOT NULL CHECK (due >= 0),
    -- Contents that are past their time, but are of the tenant itself and in later records, too.
    shared bigint NOT NULL CHECK (shared >= 0),
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    begun_at timestamptz,
    ended_at timestamptz,
    outcome text CHECK (outcome IN ('done', 'nothing_due', 'drifted', 'clock_untrusted', 'policy_lapsed', 'failed')),
    -- What contradicted the clock.
    reason text CHECK (reason ~ '^[a-z_]{1,64}$'),
    destroyed bigint CHECK (destroyed >= 0),
    held bigint CHECK (held >= 0),
    failed bigint CHECK (failed >= 0),
    -- Went another way meanwhile: their person was erased.
    gone bigint CHECK (gone >= 0),
    bytes bigint CHECK (bytes >= 0),
    -- Found by the verification: what should be gone, and what is past its time and was neither held nor failed.
    remaining bigint CHECK (remaining >= 0),
    -- The admin record that says how it ended.
    record_id uuid,
    CHECK ((state = 'ended') = (outcome IS NOT NULL)),
    CHECK ((state = 'ended') = (num_nulls(ended_at, destroyed, held, failed, gone, bytes, remaining, record_id) = 0)),
    CONSTRAINT nothing_left CHECK (outcome <> 'done' OR remaining = 0),
    PRIMARY KEY (tenant_id, run_id)
);
CREATE UNIQUE INDEX retention_run_live ON retention_run (tenant_id) WHERE state <> 'ended';
CREATE INDEX retention_run_started ON retention_run (tenant_id, started_at);

-- What a plan means, while it is carried out; forgotten when it has ended.
CREATE TABLE retention_run_item (
    tenant_id uuid NOT NULL,
    run_id uuid NOT NULL,
    object_id uuid NOT NULL,
    state text NOT NULL DEFAULT 'due' CHECK (state IN ('due', 'destroyed', 'held', 'failed', 'gone')),
    bytes bigint NOT NULL DEFAULT 0 CHECK (bytes >= 0),
    PRIMARY KEY (tenant_id, run_id, object_id),
    -- Looked at when the transaction ends: a plan's digest is known once its candidates are there.
    FOREIGN KEY (tenant_id, run_id) REFERENCES retention_run (tenant_id, run_id) DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX retention_run_item_due ON retention_run_item (tenant_id, run_id, object_id) WHERE state = 'due';

SELECT auditvault_fence('retention_run', false);
SELECT auditvault_fence('retention_run_item', false);
GRANT SELECT ON retention_run, retention_run_item TO auditvault_app;
GRANT INSERT (tenant_id, run_id, policy, version, as_of, plan, digest, due, shared) ON retention_run TO auditvault_app;
GRANT INSERT (tenant_id, run_id, object_id) ON retention_run_item TO auditvault_app;

-- Contents of the transaction's tenant that are past their time, whether held or not: what comes before an id, by data
-- class. Contents of interactions only: the words of a request or the reason of a hold are of other classes. `shared`
-- are those that belong to the tenant itself: an equal content of any later record refers to them.
CREATE FUNCTION retention_candidates(p_others uuid, p_classes text[], p_before uuid[])
RETURNS TABLE (object_id uuid, shared boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT o.object_id, s.kind = 'tenant'
    FROM vault_object AS o
    JOIN vault_subject AS s ON s.tenant_id = o.tenant_id AND s.subject_id = o.subject_id
    LEFT JOIN unnest(p_classes, p_before) AS n (data_class, before) ON n.data_class = o.data_class
    WHERE o.tenant_id = auditvault_tenant() AND o.record_id < coalesce(n.before, p_others)
        AND s.state IN ('active', 'restricted')
        AND EXISTS (SELECT FROM traces_header AS t WHERE t.tenant_id = o.tenant_id AND t.record_id = o.record_id)
    ORDER BY o.object_id
$$;

-- The document that is in force now.
CREATE FUNCTION retention_document(p_tenant uuid) RETURNS bytea
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT p.document FROM retention_policy AS p
    WHERE p.tenant_id = p_tenant AND (p.approval_id IS NULL OR p.in_force_at <= clock_timestamp())
    ORDER BY p.version DESC LIMIT 1
$$;

-- Destroys one content with everything that leads to it; how many bytes it had. Whose its record is stays known.
CREATE FUNCTION retention_destroy_object(p_object vault_object) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    freed bigint;
    month date;
BEGIN
    freed := octet_length(p_object.envelope) + (
        SELECT coalesce(sum(octet_length(p.sealed)), 0) FROM vault_piece AS p
        WHERE p.tenant_id = p_object.tenant_id AND p.object_id = p_object.object_id);
    DELETE FROM vault_tag_alias AS a WHERE a.tenant_id = p_object.tenant_id AND a.object_id = p_object.object_id;
    DELETE FROM vault_object AS o WHERE o.tenant_id = p_object.tenant_id AND o.object_id = p_object.object_id;
    month := (to_timestamp(
        ('x' || lpad(left(replace(p_object.record_id::text, '-', ''), 12), 16, '0'))::bit(64)::bigint / 1000.0
    ) AT TIME ZONE 'UTC')::date;
    IF to_regclass('vault_record_' || to_char(month, 'YYYYMM')) IS NULL THEN
        PERFORM auditvault_ensure_month('vault_record', month);
    END IF;
    INSERT INTO vault_record (tenant_id, record_id, subject_id)
        VALUES (p_object.tenant_id, p_object.record_id, p_object.subject_id) ON CONFLICT DO NOTHING;
    RETURN freed;
END
$$;

-- Goes on with a run by at most so many contents, in the caller's one transaction: what another worker is at is passed
-- over, and each is looked at again. `p_others`, `p_classes`, `p_before` as in `retention_candidates`. `outcome`:
-- 'went', 'nothing_left', 'busy' (others are at the rest), 'paused', 'drifted' (another policy is in force),
-- 'not_executing'.
CREATE FUNCTION retention_run_batch(
    p_tenant uuid, p_run uuid, p_most integer, p_others uuid, p_classes text[], p_before uuid[]
) RETURNS TABLE (outcome text, looked_at bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    run retention_run;
    item uuid;
    found vault_object;
    owner_state text;
    due boolean;
    verdict text;
    freed bigint;
BEGIN
    looked_at := 0;
    -- In this order: policy, holds, the run; whoever sets or places one waits for us, or we for them.
    PERFORM pg_advisory_xact_lock_shared(hashtext('retention_policy'), hashtext(p_tenant::text));
    PERFORM pg_advisory_xact_lock_shared(hashtext('legal_hold'), hashtext(p_tenant::text));
    SELECT * INTO run FROM retention_run AS r WHERE r.tenant_id = p_tenant AND r.run_id = p_run FOR SHARE;
    outcome := CASE
        WHEN run.state IS DISTINCT FROM 'executing' THEN 'not_executing'
        WHEN run.paused_at IS NOT NULL THEN 'paused'
        WHEN sha256(retention_document(p_tenant)) IS DISTINCT FROM run.policy THEN 'drifted'
        ELSE 'went' END;
    IF outcome <> 'went' THEN
        RETURN NEXT;
        RETURN;
    END IF;
    FOR item IN
        SELECT i.object_id FROM retention_run_item AS i
        WHERE i.tenant_id = p_tenant AND i.run_id = p_run AND i.state = 'due'
        ORDER BY i.object_id LIMIT p_most FOR UPDATE SKIP LOCKED
    LOOP
        looked_at := looked_at + 1;
        freed := 0;
        SELECT o.* INTO found FROM vault_object AS o WHERE o.tenant_id = p_tenant AND o.object_id = item;
        -- Whose erasure begins now waits; whose has begun goes that way.
        SELECT s.state INTO owner_state FROM vault_subject AS s
            WHERE s.tenant_id = p_tenant AND s.subject_id = found.subject_id AND s.kind <> 'tenant' FOR SHARE;
        due := found.record_id < coalesce(
            (SELECT n.before FROM unnest(p_classes, p_before) AS n (data_class, before)
             WHERE n.data_class = found.data_class), p_others);
        IF found.object_id IS NULL OR owner_state IN ('erasing', 'erased') THEN
            verdict := 'gone';
        ELSIF owner_state = 'restricted' THEN
            verdict := 'held';
        ELSIF owner_state IS NULL OR due IS NOT TRUE THEN
            verdict := 'failed';
        ELSE
            BEGIN
                freed := retention_destroy_object(found);
                verdict := 'destroyed';
            EXCEPTION
                WHEN insufficient_privilege THEN verdict := 'held';
                WHEN integrity_constraint_violation OR data_corrupted OR index_corrupted THEN verdict := 'failed';
            END;
        END IF;
        UPDATE retention_run_item AS i SET state = verdict, bytes = freed
            WHERE i.tenant_id = p_tenant AND i.run_id = p_run AND i.object_id = item;
    END LOOP;
    IF looked_at = 0 THEN
        outcome := CASE WHEN EXISTS (SELECT FROM retention_run_item AS i
            WHERE i.tenant_id = p_tenant AND i.run_id = p_run AND i.state = 'due') THEN 'busy' ELSE 'nothing_left' END;
    END IF;
    RETURN NEXT;
END
$$;

-- From here on what the plan means is destroyed. Whether it was just planned.
CREATE FUNCTION retention_run_begin(p_run uuid, p_digest bytea) RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    WITH begun AS (
        UPDATE retention_run SET state = 'executing', begun_at = clock_timestamp()
        WHERE tenant_id = auditvault_tenant() AND run_id = p_run AND digest = p_digest AND state = 'planned'
            AND paused_at IS NULL RETURNING 1
    ) SELECT EXISTS (SELECT FROM begun)
$$;

-- Whether that changed anything.
CREATE FUNCTION retention_run_pause(p_run uuid, p_pause boolean) RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    WITH changed AS (
        UPDATE retention_run SET paused_at = CASE WHEN p_pause THEN clock_timestamp() END
        WHERE tenant_id = auditvault_tenant() AND run_id = p_run AND state <> 'ended'
            AND (paused_at IS NULL) = p_pause RETURNING 1
    ) SELECT EXISTS (SELECT FROM changed)
$$;

-- What has become of what a run means, so far. `left_over`: not looked at.
CREATE FUNCTION retention_run_counts(p_run uuid)
RETURNS TABLE (destroyed bigint, held bigint, failed bigint, gone bigint, left_over bigint, bytes bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT count(*) FILTER (WHERE i.state = 'destroyed'), count(*) FILTER (WHERE i.state = 'held'),
        count(*) FILTER (WHERE i.state = 'failed'), count(*) FILTER (WHERE i.state = 'gone'),
        count(*) FILTER (WHERE i.state = 'due'), coalesce(sum(i.bytes), 0)::bigint
    FROM retention_run_item AS i WHERE i.tenant_id = auditvault_tenant() AND i.run_id = p_run
$$;

-- How much is there that should not be: of what was destroyed any row, and whatever is past its time but is not among
-- what was held or failed.
CREATE FUNCTION retention_run_remaining(p_run uuid, p_others uuid, p_classes text[], p_before uuid[]) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT (
        SELECT count(*) FROM retention_run_item AS i WHERE i.tenant_id = auditvault_tenant() AND i.run_id = p_run
        AND i.state = 'destroyed' AND (
            EXISTS (SELECT FROM vault_object AS o WHERE o.tenant_id = i.tenant_id AND o.object_id = i.object_id)
            OR EXISTS (SELECT FROM vault_piece AS p WHERE p.tenant_id = i.tenant_id AND p.object_id = i.object_id)
            OR EXISTS (SELECT FROM vault_tag_alias AS a
                       WHERE a.tenant_id = i.tenant_id AND a.object_id = i.object_id))
    ) + (
        SELECT count(*) FROM retention_candidates(p_others, p_classes, p_before) AS c
        WHERE NOT c.shared AND NOT EXISTS (
            SELECT FROM retention_run_item AS i WHERE i.tenant_id = auditvault_tenant() AND i.run_id = p_run
            AND i.object_id = c.object_id AND i.state <> 'due')
    )
$$;

-- Ends a run with what became of it, and forgets what it meant. Whether it had not ended yet.
CREATE FUNCTION retention_run_end(p_run uuid, p_outcome text, p_reason text, p_remaining bigint, p_record uuid)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    UPDATE retention_run AS r SET state = 'ended', ended_at = clock_timestamp(), outcome = p_outcome,
        reason = p_reason, remaining = p_remaining, record_id = p_record, destroyed = c.destroyed, held = c.held,
        failed = c.failed, gone = c.gone, bytes = c.bytes, paused_at = NULL
    FROM retention_run_counts(p_run) AS c
    WHERE r.tenant_id = auditvault_tenant() AND r.run_id = p_run AND r.state <> 'ended'
        AND (p_outcome <> 'done' OR r.state = 'executing' AND c.left_over = 0);
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    DELETE FROM retention_run_item AS i WHERE i.tenant_id = auditvault_tenant() AND i.run_id = p_run;
    RETURN true;
END
$$;

-- What says what time it is, of the transaction's tenant: recorded here, or said by somebody with a clock of their own.
CREATE FUNCTION retention_times()
RETURNS TABLE (database_at timestamptz, entry timestamptz, signer timestamptz, witness timestamptz, stamp timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT clock_timestamp(),
        (SELECT max(h.last_at) FROM ledger_head AS h WHERE h.tenant_id = auditvault_tenant() AND h.size > 0),
        (SELECT max(c.signed_at) FROM ledger_checkpoint AS c WHERE c.tenant_id = auditvault_tenant()),
        (SELECT max(w.cosigned_at) FROM ledger_cosignature AS w WHERE w.tenant_id = auditvault_tenant()),
        (SELECT max(t.gen_time) FROM evidence_timestamp AS t)
$$;

-- Tenants for whom a run is to be started today, and runs that are to go on. One that could not be carried out is
-- tried again after an hour.
CREATE FUNCTION retention_work() RETURNS TABLE (tenant_id uuid, run_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT r.tenant_id, r.run_id FROM retention_run AS r WHERE r.state <> 'ended' AND r.paused_at IS NULL
    UNION ALL
    SELECT p.tenant_id, NULL FROM retention_policy AS p
    WHERE retention_document(p.tenant_id) IS NOT NULL AND NOT EXISTS (
        SELECT FROM retention_run AS r WHERE r.tenant_id = p.tenant_id AND (
            r.state <> 'ended'
            OR r.started_at >= date_trunc('day', clock_timestamp(), 'UTC')
                AND r.outcome IN ('done', 'nothing_due', 'policy_lapsed')
            OR r.ended_at > clock_timestamp() - interval '1 hour'))
    GROUP BY p.tenant_id
    ORDER BY 1
$$;

-- Tenants under a policy that has been in force for 26 hours, of which no run has done what was due meanwhile.
CREATE FUNCTION retention_overdue() RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT count(DISTINCT p.tenant_id) FROM retention_policy AS p
    WHERE p.in_force_at < clock_timestamp() - interval '26 hours' AND NOT EXISTS (
        SELECT FROM retention_run AS r WHERE r.tenant_id = p.tenant_id AND r.outcome IN ('done', 'nothing_due')
        AND r.ended_at > clock_timestamp() - interval '26 hours')
$$;

REVOKE ALL ON FUNCTION retention_candidates(uuid, text[], uuid[]), retention_document(uuid),
    retention_destroy_object(vault_object), retention_run_batch(uuid, uuid, integer, uuid, text[], uuid[]),
    retention_run_begin(uuid, bytea), retention_run_pause(uuid, boolean), retention_run_counts(uuid),
    retention_run_remaining(uuid, uuid, text[], uuid[]), retention_run_end(uuid, text, text, bigint, uuid),
    retention_times(), retention_work(), retention_overdue() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION retention_candidates(uuid, text[], uuid[]), retention_run_begin(uuid, bytea),
    retention_run_pause(uuid, boolean), retention_run_counts(uuid),
    retention_run_remaining(uuid, uuid, text[], uuid[]), retention_run_end(uuid, text, text, bigint, uuid),
    retention_times(), retention_overdue() TO auditvault_app;
GRANT EXECUTE ON FUNCTION retention_run_batch(uuid, uuid, integer, uuid, text[], uuid[]), retention_work()
    TO auditvault_retention;
