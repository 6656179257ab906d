-- The signer reads what the operator's log says of keys (docs/spec/checkpoint.md section 3.1), and nothing else here.
-- It still writes nothing but checkpoints.
GRANT SELECT ON admin_event TO auditvault_signer;
CREATE POLICY signer_reads_keys ON admin_event FOR SELECT TO auditvault_signer
    USING (tenant_id = '00000000-0000-0000-0000-000000000000' AND action LIKE 'checkpoint\_key.%');
