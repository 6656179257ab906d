-- The keyring of one region: wrapped keys only, in a database and backups of its own.
-- Hierarchy and wrapping: docs/spec/keys.md.

CREATE FUNCTION auditvault_tenant() RETURNS uuid
LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT nullif(current_setting('auditvault.tenant_id', true), '')::uuid $$;

-- One region KEK an epoch, wrapped by the root key of the region's provider.
CREATE TABLE keyring_region_key (
    epoch integer PRIMARY KEY CHECK (epoch >= 1),
    key_id uuid NOT NULL UNIQUE,
    wrapped bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- A tenant's KEK, fresh in every epoch, wrapped by that epoch's region KEK.
CREATE TABLE keyring_tenant_key (
    tenant_id uuid NOT NULL,
    epoch integer NOT NULL REFERENCES keyring_region_key (epoch),
    key_id uuid NOT NULL UNIQUE,
    wrapped bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, epoch)
);

-- The secret that a tenant's lookup and identifier tags are derived from.
CREATE TABLE keyring_tag_secret (
    tenant_id uuid NOT NULL,
    version integer NOT NULL CHECK (version >= 1),
    epoch integer NOT NULL REFERENCES keyring_region_key (epoch),
    key_id uuid NOT NULL UNIQUE,
    wrapped bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, version)
);

-- A subject's data key for one data class, wrapped by the tenant's KEK of `epoch`.
CREATE TABLE keyring_subject_key (
    tenant_id uuid NOT NULL,
    subject_id uuid NOT NULL,
    data_class text NOT NULL,
    version integer NOT NULL CHECK (version >= 1),
    key_id uuid NOT NULL UNIQUE,
    epoch integer NOT NULL,
    wrapped bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- Set by the sweep of orphans: no sealer takes this key any more.
    retired_at timestamptz,
    PRIMARY KEY (tenant_id, subject_id, data_class, version),
    FOREIGN KEY (tenant_id, epoch) REFERENCES keyring_tenant_key (tenant_id, epoch)
);
CREATE INDEX keyring_subject_key_created ON keyring_subject_key (created_at);

DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['keyring_tenant_key', 'keyring_tag_secret', 'keyring_subject_key'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant_fence ON %I FOR ALL TO auditvault_app
                        USING (tenant_id = (SELECT auditvault_tenant()))
                        WITH CHECK (tenant_id = (SELECT auditvault_tenant()))', name);
    END LOOP;
END
$$;
REVOKE ALL ON keyring_region_key, keyring_tenant_key, keyring_tag_secret, keyring_subject_key FROM PUBLIC;
GRANT SELECT, INSERT ON keyring_region_key, keyring_tenant_key, keyring_tag_secret, keyring_subject_key
    TO auditvault_app;

-- The sweep. A key with no object is first retired, so that no sealer picks it up, and destroyed only after every
-- cached copy has expired and a second look has found it still without objects. It never sees key material.
GRANT SELECT (tenant_id, subject_id, data_class, version, key_id, created_at, retired_at)
    ON keyring_subject_key TO auditvault_retention;
CREATE POLICY retention_sweeps ON keyring_subject_key FOR SELECT TO auditvault_retention USING (true);

CREATE FUNCTION keyring_retire(p_keys uuid[]) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    WITH retired AS (
        UPDATE keyring_subject_key SET retired_at = now()
        WHERE key_id = ANY (p_keys) AND retired_at IS NULL AND created_at < now() - interval '1 hour'
        RETURNING 1
    ) SELECT count(*) FROM retired
$$;

CREATE FUNCTION keyring_reinstate(p_keys uuid[]) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    WITH kept AS (
        UPDATE keyring_subject_key SET retired_at = NULL WHERE key_id = ANY (p_keys) RETURNING 1
    ) SELECT count(*) FROM kept
$$;

CREATE FUNCTION keyring_destroy_retired(p_keys uuid[]) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    WITH gone AS (
        DELETE FROM keyring_subject_key
        WHERE key_id = ANY (p_keys) AND retired_at < now() - interval '10 minutes'
        RETURNING 1
    ) SELECT count(*) FROM gone
$$;

REVOKE ALL ON FUNCTION keyring_retire(uuid[]), keyring_reinstate(uuid[]), keyring_destroy_retired(uuid[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION keyring_retire(uuid[]), keyring_reinstate(uuid[]), keyring_destroy_retired(uuid[])
    TO auditvault_retention;
