-- The vault of one region: subjects, their identifiers, sealed objects and lookup tags.
-- Ciphertext and keyed tags only. Keys stand in another database (docs/spec/keys.md).

CREATE TABLE vault_subject (
    tenant_id uuid NOT NULL,
    subject_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('person', 'session', 'tenant')),
    state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'restricted', 'erasing', 'erased')),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, subject_id)
);
CREATE UNIQUE INDEX vault_subject_tenant ON vault_subject (tenant_id) WHERE kind = 'tenant';

CREATE TABLE vault_identifier (
    tenant_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('user', 'session', 'trace')),
    tag bytea NOT NULL CHECK (octet_length(tag) = 32),
    subject_id uuid NOT NULL,
    -- The identifier itself, sealed under the subject's key; a trace id is nobody's name and is not kept.
    object_id uuid,
    key_id uuid,
    wrapped_cek bytea,
    envelope bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK (num_nulls(object_id, key_id, wrapped_cek, envelope) IN (0, 4)),
    PRIMARY KEY (tenant_id, kind, tag),
    FOREIGN KEY (tenant_id, subject_id) REFERENCES vault_subject (tenant_id, subject_id)
);
CREATE INDEX vault_identifier_subject ON vault_identifier (tenant_id, subject_id);

CREATE TABLE vault_object (
    tenant_id uuid NOT NULL,
    object_id uuid NOT NULL,
    record_id uuid NOT NULL,
    subject_id uuid NOT NULL,
    key_id uuid NOT NULL,
    data_class text NOT NULL,
    role text NOT NULL,
    version integer NOT NULL CHECK (version >= 1),
    tag bytea NOT NULL CHECK (octet_length(tag) = 32),
    wrapped_cek bytea NOT NULL,
    envelope bytea NOT NULL,
    PRIMARY KEY (tenant_id, object_id)
) PARTITION BY RANGE (object_id);
-- Ciphertext does not compress: TOAST must not try.
ALTER TABLE vault_object ALTER envelope SET STORAGE EXTERNAL;
CREATE INDEX vault_object_tag ON vault_object (tenant_id, tag);
CREATE INDEX vault_object_subject ON vault_object (tenant_id, subject_id);

-- Further hashes under which an object is found, such as the sender's own prompt.hash.
CREATE TABLE vault_tag_alias (
    tenant_id uuid NOT NULL,
    tag bytea NOT NULL CHECK (octet_length(tag) = 32),
    object_id uuid NOT NULL,
    PRIMARY KEY (tenant_id, tag, object_id)
);
CREATE INDEX vault_tag_alias_object ON vault_tag_alias (tenant_id, object_id);

INSERT INTO auditvault_monthly_table VALUES ('vault_object', false);
SELECT auditvault_fence(name, false)
FROM unnest(ARRAY['vault_subject', 'vault_identifier', 'vault_object', 'vault_tag_alias']) AS name;
GRANT SELECT, INSERT ON vault_subject, vault_identifier, vault_tag_alias TO auditvault_app;
GRANT SELECT ON vault_object TO auditvault_app;
SELECT auditvault_ensure_month('vault_object', (now() AT TIME ZONE 'UTC' + make_interval(months => ahead))::date)
FROM generate_series(0, 1) AS ahead;

-- The sweep of orphan keys asks which keys still seal something; it never sees ciphertext.
GRANT SELECT (tenant_id, subject_id, key_id) ON vault_object TO auditvault_retention;
CREATE POLICY retention_counts ON vault_object FOR SELECT TO auditvault_retention USING (true);
GRANT SELECT (tenant_id, subject_id, key_id) ON vault_identifier TO auditvault_retention;
CREATE POLICY retention_counts ON vault_identifier FOR SELECT TO auditvault_retention USING (true);
