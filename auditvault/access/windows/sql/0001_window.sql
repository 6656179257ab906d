-- How often each caller did each thing in the newest window, and in the last one before in which they did it at all.
-- One row each, written over. Changed by the function alone.
CREATE TABLE access_window (
    tenant_id uuid NOT NULL,
    caller text NOT NULL CHECK (length(caller) BETWEEN 1 AND 128),
    what text NOT NULL CHECK (length(what) BETWEEN 1 AND 256),
    window_at timestamptz NOT NULL,
    used integer NOT NULL,
    before_at timestamptz,
    before_used integer,
    PRIMARY KEY (tenant_id, caller, what)
);
SELECT auditvault_fence('access_window', false);
GRANT SELECT ON access_window TO auditvault_app;

-- Counts one use by a caller of the transaction's tenant. `used` is 1 for the first of a window: whoever comes second
-- waits on the row until the first has committed, with the record that it is to write. A window never goes back.
CREATE FUNCTION auditvault_count_use(who text, of_what text, window_seconds integer) RETURNS access_window
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    INSERT INTO access_window AS known
    SELECT auditvault_tenant(), who, of_what,
        to_timestamp(floor(extract(epoch FROM clock_timestamp()) / window_seconds) * window_seconds), 1, NULL, NULL
    ON CONFLICT (tenant_id, caller, what) DO UPDATE SET
        window_at = greatest(known.window_at, excluded.window_at),
        used = CASE WHEN known.window_at < excluded.window_at THEN 1 ELSE known.used + 1 END,
        before_at = CASE WHEN known.window_at < excluded.window_at THEN known.window_at ELSE known.before_at END,
        before_used = CASE WHEN known.window_at < excluded.window_at THEN known.used ELSE known.before_used END
    RETURNING known.*
$$;
REVOKE ALL ON FUNCTION auditvault_count_use(text, text, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION auditvault_count_use(text, text, integer) TO auditvault_app;
