-- Pruning a log: what it says before entries go, and what then went. Format: docs/spec/prune.md. The entries themselves go
-- by a function of a later migration, which knows of headers and contents; only auditvault_retention may call it.

-- Headers of the entries `log.pruned`. The entry's bytes stand here too: it can be below a later minimum itself. One prune
-- from each minimum: of two that are recorded at once, one is rolled back.
CREATE TABLE ledger_prune (
    tenant_id uuid NOT NULL,
    log_id integer NOT NULL,
    previous bigint NOT NULL CHECK (previous >= 0),
    minimum bigint NOT NULL CHECK (minimum > previous AND minimum % 256 = 0),
    idx bigint NOT NULL CHECK (idx >= minimum),
    record_id uuid NOT NULL,
    last_at timestamptz NOT NULL,
    cutoff timestamptz NOT NULL CHECK (cutoff >= last_at),
    entry bytea NOT NULL CHECK (octet_length(entry) BETWEEN 1 AND 65535),
    opening bytea NOT NULL CHECK (octet_length(opening) = 32),
    header bytea NOT NULL,
    PRIMARY KEY (tenant_id, log_id, previous),
    FOREIGN KEY (tenant_id, log_id) REFERENCES ledger_log (tenant_id, log_id)
);

-- What went, written by the function that dropped it in the same transaction.
CREATE TABLE ledger_pruned (
    tenant_id uuid NOT NULL,
    log_id integer NOT NULL,
    minimum bigint NOT NULL CHECK (minimum > 0),
    last_at timestamptz NOT NULL,
    pruned_at timestamptz NOT NULL,
    entries bigint NOT NULL,
    headers bigint NOT NULL,
    size_bytes bigint NOT NULL,
    PRIMARY KEY (tenant_id, log_id, minimum),
    FOREIGN KEY (tenant_id, log_id) REFERENCES ledger_log (tenant_id, log_id)
);

SELECT auditvault_fence(name, true) FROM unnest(ARRAY['ledger_prune', 'ledger_pruned']) AS name;
GRANT SELECT, INSERT ON ledger_prune TO auditvault_app;
GRANT SELECT ON ledger_pruned TO auditvault_app;

-- For headers, which go with their entries: refuses every change but a removal by the function that prunes, which runs as
-- the owner with this setting. Nobody else gains by the setting: the owner could drop the trigger anyway.
CREATE FUNCTION auditvault_refuse_change_but_prune() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_user = 'auditvault_owner'
        AND current_setting('auditvault.pruning', true) = 'on'
    THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'append-only: % on % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END
$$;
