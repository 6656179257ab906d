-- Dropping the entries that a log has said it gives up, and their headers. Rules: docs/spec/prune.md section 4.
--
-- Only auditvault_retention may call these. They run as the owner, and believe nothing that a caller says but which log:
-- what is dropped is what stands in ledger_prune, after everything that the database can check was checked again. Who may
-- write there (the application) cannot drop; who drops cannot write there.

-- Headers go with their entries, by this function alone.
DROP TRIGGER refuse_change ON traces_header;
DROP TRIGGER refuse_change ON access_event;
DROP TRIGGER refuse_change ON admin_event;
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON traces_header
    FOR EACH ROW EXECUTE FUNCTION auditvault_refuse_change_but_prune();
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON access_event
    FOR EACH ROW EXECUTE FUNCTION auditvault_refuse_change_but_prune();
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON admin_event
    FOR EACH ROW EXECUTE FUNCTION auditvault_refuse_change_but_prune();

-- Refuses, with a code that the service knows in DETAIL.
CREATE FUNCTION evidence_prune_refuse(p_code text, p_message text) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION '%', p_message USING ERRCODE = 'AV013', DETAIL = p_code;
END
$$;

-- How many sealed contents of the records of these entries are still there. What belongs to nobody (the tenant's own
-- subject: a system prompt) is shared with later records and stays; the reason of a look does not.
CREATE FUNCTION evidence_prune_contents(p_log integer, p_from bigint, p_to bigint) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT count(*)
    FROM ledger_log AS l
    JOIN ledger_entry AS e ON e.tenant_id = l.tenant_id AND e.log_id = l.log_id
    JOIN vault_object AS o ON o.tenant_id = e.tenant_id AND o.record_id = e.record_id
    LEFT JOIN vault_subject AS s ON s.tenant_id = o.tenant_id AND s.subject_id = o.subject_id
    WHERE l.log_id = p_log AND e.log_id = p_log AND e.idx >= p_from AND e.idx < p_to
        AND (s.kind IS DISTINCT FROM 'tenant' OR o.role = 'access_reason')
$$;

-- What a prune of these entries would come to: nothing is changed.
CREATE FUNCTION evidence_prune_preview(p_log integer, p_from bigint, p_to bigint)
RETURNS TABLE (entries bigint, contents bigint, size_bytes bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT (SELECT count(*) FROM ledger_entry AS e
            WHERE e.tenant_id = l.tenant_id AND e.log_id = p_log AND e.idx >= p_from AND e.idx < p_to),
        evidence_prune_contents(p_log, p_from, p_to),
        (SELECT coalesce(sum(pg_total_relation_size(to_regclass(format('ledger_entry_%s_%s', p_log, part)))), 0)::bigint
         FROM generate_series(p_from / l.partition_entries, (p_to - 1) / l.partition_entries) AS part)
    FROM ledger_log AS l WHERE l.log_id = p_log
$$;

-- Everything that has to be so before anything is dropped; raises where it is not.
CREATE FUNCTION evidence_prune_check(p_log ledger_log, p_due ledger_prune) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    last bytea;
    whole bigint;
    remaining bigint;
BEGIN
    IF p_due.previous <> coalesce((SELECT max(minimum) FROM ledger_pruned
                                   WHERE tenant_id = p_log.tenant_id AND log_id = p_log.log_id), 0)
        OR p_due.previous % p_log.partition_entries <> 0 OR p_due.minimum % p_log.partition_entries <> 0
    THEN
        PERFORM evidence_prune_refuse('prune_refused', 'a prune begins at the minimum and takes whole partitions');
    END IF;
    IF NOT EXISTS (SELECT FROM ledger_head WHERE tenant_id = p_log.tenant_id AND log_id = p_log.log_id
                   AND size > p_due.minimum AND size > p_due.idx)
        OR NOT EXISTS (SELECT FROM ledger_entry WHERE tenant_id = p_log.tenant_id AND log_id = p_log.log_id
                       AND idx = p_due.idx AND record_id = p_due.record_id AND entry = p_due.entry
                       AND convert_from(entry, 'UTF8')::jsonb ->> 'type' = 'log.pruned')
    THEN
        PERFORM evidence_prune_refuse('prune_refused', 'the prune entry is not in the log');
    END IF;
    IF NOT EXISTS (SELECT FROM ledger_checkpoint WHERE tenant_id = p_log.tenant_id AND log_id = p_log.log_id
                   AND size > p_due.idx)
    THEN
        PERFORM evidence_prune_refuse('prune_not_anchored', 'no signed checkpoint covers the prune entry');
    END IF;
    SELECT entry INTO last FROM ledger_entry
        WHERE tenant_id = p_log.tenant_id AND log_id = p_log.log_id AND idx = p_due.minimum - 1;
    IF last IS NULL OR (convert_from(last, 'UTF8')::jsonb ->> 't')::timestamptz IS DISTINCT FROM p_due.last_at
        OR p_due.last_at > p_due.cutoff OR p_due.cutoff > clock_timestamp()
    THEN
        PERFORM evidence_prune_refuse('prune_refused', 'the last entry is younger than the prune says');
    END IF;
    -- A prune must not clear away what would show that the log was changed: all of it has to be there, and as the tiles
    -- that stay have it.
    SELECT count(*) INTO whole FROM (
        SELECT e.idx / 256 AS n, string_agg(sha256('\x00'::bytea || e.entry), ''::bytea ORDER BY e.idx) AS hashes
        FROM ledger_entry AS e WHERE e.tenant_id = p_log.tenant_id AND e.log_id = p_log.log_id
            AND e.idx >= p_due.previous AND e.idx < p_due.minimum
        GROUP BY 1
    ) AS kept JOIN ledger_tile AS t ON t.n = kept.n AND t.hashes = kept.hashes
    WHERE t.tenant_id = p_log.tenant_id AND t.log_id = p_log.log_id AND t.level = 0 AND t.width = 256;
    IF whole <> (p_due.minimum - p_due.previous) / 256 THEN
        PERFORM evidence_prune_refuse('prune_log_damaged', 'entries that would go are missing or changed: verify the log');
    END IF;
    remaining := evidence_prune_contents(p_log.log_id, p_due.previous, p_due.minimum);
    IF remaining > 0 THEN
        PERFORM evidence_prune_refuse('prune_content_remains', format('%s sealed contents are still there', remaining));
    END IF;
END
$$;

-- Removes the headers of the entries that go; returns how many.
CREATE FUNCTION evidence_prune_headers(p_log ledger_log, p_due ledger_prune) RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    header_table text := CASE p_log.kind
        WHEN 'interactions' THEN 'traces_header' WHEN 'access' THEN 'access_event' ELSE 'admin_event' END;
    removal text := 'DELETE FROM %I AS h USING ledger_entry AS e WHERE e.tenant_id = $1 AND e.log_id = $2'
        ' AND e.idx >= $3 AND e.idx < $4 AND h.tenant_id = e.tenant_id AND h.record_id = e.record_id';
    removed bigint;
BEGIN
    PERFORM set_config('auditvault.pruning', 'on', true);
    EXECUTE format(removal, header_table) USING p_log.tenant_id, p_log.log_id, p_due.previous, p_due.minimum;
    GET DIAGNOSTICS removed = ROW_COUNT;
    IF p_log.kind = 'interactions' THEN
        -- Whose the record was.
        EXECUTE format(removal, 'vault_record') USING p_log.tenant_id, p_log.log_id, p_due.previous, p_due.minimum;
    END IF;
    PERFORM set_config('auditvault.pruning', '', true);
    RETURN removed;
END
$$;

-- Carries out the prune that was recorded from minimum `p_previous` on: headers, then partitions, then what was done, all in
-- the caller's one transaction. Of a prune that was carried out already it says what went. Dropping a partition locks the
-- whole table for a moment; where that is not to be had in five seconds, nothing has happened.
CREATE FUNCTION evidence_prune(p_log integer, p_previous bigint)
RETURNS TABLE (minimum bigint, entries bigint, headers bigint, size_bytes bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '5s'
AS $$
#variable_conflict use_column
DECLARE
    log ledger_log;
    due ledger_prune;
    part bigint;
    freed bigint := 0;
    removed bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('evidence_prune'), p_log);
    SELECT * INTO log FROM ledger_log AS l WHERE l.log_id = p_log;
    SELECT * INTO due FROM ledger_prune AS d
        WHERE d.tenant_id = log.tenant_id AND d.log_id = p_log AND d.previous = p_previous;
    IF due.minimum IS NULL THEN
        PERFORM evidence_prune_refuse('prune_refused', 'no such prune was recorded');
    END IF;
    IF NOT EXISTS (SELECT FROM ledger_pruned AS p WHERE p.tenant_id = log.tenant_id AND p.log_id = p_log
                   AND p.minimum = due.minimum)
    THEN
        PERFORM evidence_prune_check(log, due);
        removed := evidence_prune_headers(log, due);
        FOR part IN SELECT generate_series(due.previous / log.partition_entries,
                                           due.minimum / log.partition_entries - 1) LOOP
            freed := freed + pg_total_relation_size(to_regclass(format('ledger_entry_%s_%s', p_log, part)));
            EXECUTE format('DROP TABLE %I', format('ledger_entry_%s_%s', p_log, part));
        END LOOP;
        INSERT INTO ledger_pruned (tenant_id, log_id, minimum, last_at, pruned_at, entries, headers, size_bytes)
            VALUES (log.tenant_id, p_log, due.minimum, due.last_at, clock_timestamp(),
                    due.minimum - due.previous, removed, freed);
    END IF;
    RETURN QUERY SELECT p.minimum, p.entries, p.headers, p.size_bytes FROM ledger_pruned AS p
        WHERE p.tenant_id = log.tenant_id AND p.log_id = p_log AND p.minimum = due.minimum;
END
$$;

REVOKE ALL ON FUNCTION evidence_prune_refuse(text, text), evidence_prune_contents(integer, bigint, bigint),
    evidence_prune_preview(integer, bigint, bigint), evidence_prune_check(ledger_log, ledger_prune),
    evidence_prune_headers(ledger_log, ledger_prune), evidence_prune(integer, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION evidence_prune_contents(integer, bigint, bigint),
    evidence_prune_preview(integer, bigint, bigint), evidence_prune(integer, bigint) TO auditvault_retention;
