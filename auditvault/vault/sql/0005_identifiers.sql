-- Identifiers of any kind, and the kinds that tenants declare (docs/spec/subjects.md sections 1 and 2).

ALTER TABLE vault_identifier DROP CONSTRAINT vault_identifier_kind_check;
ALTER TABLE vault_identifier ADD CONSTRAINT vault_identifier_kind_check CHECK (kind ~ '^[a-z][a-z_]{0,30}$');
-- The version of the rules that made the tag; 0 where the value was tagged as it was sent.
ALTER TABLE vault_identifier ADD normalisation smallint NOT NULL DEFAULT 0 CHECK (normalisation >= 0);
ALTER TABLE vault_identifier ALTER normalisation DROP DEFAULT;

CREATE TABLE vault_identifier_kind (
    tenant_id uuid NOT NULL,
    kind text NOT NULL
        CHECK (kind ~ '^[a-z][a-z_]{0,30}$' AND kind NOT IN ('user', 'session', 'trace', 'email')),
    normalisation text NOT NULL CHECK (normalisation IN ('exact', 'caseless', 'compact', 'email', 'phone')),
    -- Country of telephone numbers that are written without one, as ISO 3166.
    phone_region text CHECK (phone_region ~ '^[A-Z]{2}$'),
    -- The admin record that says so.
    record_id uuid NOT NULL,
    declared_at timestamptz NOT NULL DEFAULT now(),
    CHECK (kind <> 'phone' OR normalisation = 'phone'),
    CHECK (phone_region IS NULL OR normalisation = 'phone'),
    PRIMARY KEY (tenant_id, kind)
);
SELECT auditvault_fence('vault_identifier_kind', true);
GRANT SELECT, INSERT ON vault_identifier_kind TO auditvault_app;
