-- Entries of an operator's log, below a size, that say of a key that it comes or goes; with what they commit to. The
-- signer proves each one: `action` and `record_id` only find them.
SELECT e.idx, e.entry, a.opening, a.header
FROM admin_event AS a
JOIN ledger_entry AS e ON e.tenant_id = a.tenant_id AND e.record_id = a.record_id AND e.log_id = %(log_id)s
WHERE a.tenant_id = %(tenant_id)s AND a.action = ANY(%(actions)s) AND e.idx < %(size)s
ORDER BY e.idx
