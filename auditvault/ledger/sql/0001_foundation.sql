-- What every table of a region database stands on: whose rows a transaction may see, refusal of change,
-- and partitions by month.

-- The tenant that this transaction works for, NULL where none was named: then no row is visible.
CREATE FUNCTION auditvault_tenant() RETURNS uuid
LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT nullif(current_setting('auditvault.tenant_id', true), '')::uuid $$;

CREATE FUNCTION auditvault_refuse_change() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION 'append-only: % on % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE FUNCTION auditvault_refuse_tenant() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION 'a row of another tenant is refused in %', TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END
$$;

-- Tables partitioned by the month in their UUIDv7 key.
CREATE TABLE auditvault_monthly_table (
    parent regclass PRIMARY KEY,
    append_only boolean NOT NULL
);
REVOKE ALL ON auditvault_monthly_table FROM PUBLIC;

-- The smallest UUIDv7 of an instant: 48 bits of Unix milliseconds, then zeros (RFC 9562, section 5.7).
CREATE FUNCTION auditvault_uuid7_floor(instant timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT
AS $$
    SELECT (lpad(to_hex((extract(epoch FROM instant) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;

-- Makes the partition of `month` where it is missing and returns its name.
--
-- The partition is made apart and then attached, because CREATE TABLE ... PARTITION OF would lock out every
-- reader of the parent. Row-level security stands on the parent alone: PostgreSQL refuses COPY into a table
-- that has it. So the application may INSERT into a partition, where a row trigger refuses another tenant's
-- rows, and may SELECT only through the parent.
CREATE FUNCTION auditvault_ensure_month(parent_name text, month date) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    known auditvault_monthly_table;
    first_day date := date_trunc('month', month)::date;
    child text := parent_name || '_' || to_char(first_day, 'YYYYMM');
BEGIN
    SELECT * INTO STRICT known FROM auditvault_monthly_table WHERE parent = to_regclass(parent_name);
    PERFORM pg_advisory_xact_lock(hashtext('auditvault_ensure_month'), hashtext(child));
    IF to_regclass(child) IS NOT NULL THEN
        RETURN child;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)',
                   child, parent_name);
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent_name, child,
                   auditvault_uuid7_floor(first_day::timestamp AT TIME ZONE 'UTC'),
                   auditvault_uuid7_floor((first_day + interval '1 month')::timestamp AT TIME ZONE 'UTC'));
    IF known.append_only THEN
        EXECUTE format('CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON %I
                        FOR EACH STATEMENT EXECUTE FUNCTION auditvault_refuse_change()', child);
    END IF;
    EXECUTE format('REVOKE ALL ON %I FROM PUBLIC', child);
    EXECUTE format('GRANT INSERT ON %I TO auditvault_app', child);
    RETURN child;
END
$$;
REVOKE ALL ON FUNCTION auditvault_ensure_month(text, date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION auditvault_ensure_month(text, date) TO auditvault_app;

-- Fences a table by tenant and takes its change rights away. Called once for each table by the migrations.
CREATE FUNCTION auditvault_fence(table_name text, append_only boolean) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', table_name);
    EXECUTE format('CREATE POLICY tenant_fence ON %I FOR ALL TO auditvault_app
                    USING (tenant_id = (SELECT auditvault_tenant()))
                    WITH CHECK (tenant_id = (SELECT auditvault_tenant()))', table_name);
    EXECUTE format('CREATE TRIGGER refuse_tenant AFTER INSERT ON %I FOR EACH ROW
                    WHEN (current_user = ''auditvault_app'' AND NEW.tenant_id IS DISTINCT FROM auditvault_tenant())
                    EXECUTE FUNCTION auditvault_refuse_tenant()', table_name);
    EXECUTE format('REVOKE ALL ON %I FROM PUBLIC', table_name);
    IF append_only THEN
        EXECUTE format('CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON %I
                        FOR EACH ROW EXECUTE FUNCTION auditvault_refuse_change()', table_name);
        EXECUTE format('CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON %I
                        FOR EACH STATEMENT EXECUTE FUNCTION auditvault_refuse_change()', table_name);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION auditvault_fence(text, boolean) FROM PUBLIC;

-- Work that is due, claimed with FOR UPDATE SKIP LOCKED: the truth behind the broker's messages.
CREATE TABLE scheduled_job (
    name text PRIMARY KEY CHECK (name ~ '^[a-z_]{1,64}$'),
    interval_seconds integer NOT NULL CHECK (interval_seconds > 0),
    due_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    finished_at timestamptz,
    outcome text CHECK (outcome IN ('ok', 'failed')),
    detail jsonb
);
REVOKE ALL ON scheduled_job FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE ON scheduled_job TO auditvault_app;
