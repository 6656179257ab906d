-- What witnesses said of checkpoints: verified lines of signed notes. Anybody can verify them again with the witness's
-- key, so the application may write them; nobody may change them. Format: docs/spec/witness.md.
CREATE TABLE ledger_cosignature (
    tenant_id uuid NOT NULL,
    log_id integer NOT NULL,
    size bigint NOT NULL CHECK (size > 0),
    root bytea NOT NULL CHECK (octet_length(root) = 32),
    -- The witness's public key, 32 bytes: its name is only what it is called.
    witness bytea NOT NULL CHECK (octet_length(witness) = 32),
    cosigned_at timestamptz NOT NULL,
    line text NOT NULL CHECK (octet_length(line) <= 1024),
    PRIMARY KEY (tenant_id, log_id, witness, size, cosigned_at)
);

SELECT auditvault_fence('ledger_cosignature', true);
GRANT SELECT, INSERT ON ledger_cosignature TO auditvault_app;
