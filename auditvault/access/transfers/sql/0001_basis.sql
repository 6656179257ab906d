-- Why content of this region may be read from another (docs/spec/transfer.md). Nobody changes a basis: another one is
-- recorded, and the old one ended, once.
CREATE TABLE transfer_basis (
    tenant_id uuid NOT NULL,
    basis_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('adequacy_decision', 'standard_contractual_clauses', 'binding_corporate_rules',
        'derogation', 'not_restricted')),
    reference text NOT NULL CHECK (length(reference) BETWEEN 1 AND 128),
    region text NOT NULL CHECK (length(region) BETWEEN 1 AND 31),
    to_region text NOT NULL CHECK (length(to_region) BETWEEN 1 AND 31 AND to_region <> region),
    valid_from timestamptz NOT NULL,
    valid_until timestamptz NOT NULL CHECK (valid_until > valid_from),
    recorded_by uuid NOT NULL,
    recorder text NOT NULL CHECK (length(recorder) BETWEEN 1 AND 128),
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, basis_id)
);
SELECT auditvault_fence('transfer_basis', true);
GRANT SELECT, INSERT ON transfer_basis TO auditvault_app;

CREATE TABLE transfer_basis_end (
    tenant_id uuid NOT NULL,
    basis_id uuid NOT NULL,
    ender text NOT NULL CHECK (length(ender) BETWEEN 1 AND 128),
    ended_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, basis_id),
    FOREIGN KEY (tenant_id, basis_id) REFERENCES transfer_basis (tenant_id, basis_id)
);
SELECT auditvault_fence('transfer_basis_end', true);
GRANT SELECT, INSERT ON transfer_basis_end TO auditvault_app;
