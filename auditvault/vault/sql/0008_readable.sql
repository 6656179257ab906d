-- Ciphertext and the wrapped keys beside it are no column of the table for the application any more: a query that asks
-- the table for a content is refused, whoever wrote it. Two views give them, and their names say what for.
-- Both have the owner's rights, so they keep the fence of tenants themselves.
REVOKE SELECT ON vault_object FROM auditvault_app;
GRANT SELECT (tableoid, tenant_id, object_id, record_id, subject_id, key_id, data_class, role, version, tag)
    ON vault_object TO auditvault_app;

-- What may be read: objects of subjects that are neither restricted nor being erased, nor erased. Whoever shows content
-- to people, or hands it out, asks this one.
CREATE VIEW vault_readable AS
    SELECT o.tenant_id, o.object_id, o.record_id, o.subject_id, o.key_id, o.data_class, o.role, o.version, o.tag,
           o.wrapped_cek, o.envelope
    FROM vault_object AS o
    WHERE o.tenant_id = (SELECT auditvault_tenant())
      -- With EXISTS the planner may well begin with every subject of the tenant.
      AND (SELECT s.state FROM vault_subject AS s
           WHERE s.tenant_id = o.tenant_id AND s.subject_id = o.subject_id) = 'active';

-- What is kept: all of it. For whoever moves keys, checks that contents are whole, finds that one is there already, or
-- looks whether an erasure left something; what is opened for that is forgotten. Never for what somebody is shown.
CREATE VIEW vault_kept AS
    SELECT o.tenant_id, o.object_id, o.record_id, o.subject_id, o.key_id, o.data_class, o.role, o.version, o.tag,
           o.wrapped_cek, o.envelope
    FROM vault_object AS o
    WHERE o.tenant_id = (SELECT auditvault_tenant());

REVOKE ALL ON vault_readable, vault_kept FROM PUBLIC;
GRANT SELECT ON vault_readable, vault_kept TO auditvault_app;
