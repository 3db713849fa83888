-- name: command_target
-- Where a command for a device goes, and whether its tenant's own people may send any. Run in the
-- tenant's sight.
SELECT t.slug, s.slug, d.name, g.name, d.status = 'retired', t.commands_enabled
FROM public.devices d
JOIN public.tenants t ON t.id = d.tenant_id
JOIN public.sites s ON s.id = d.site_id
LEFT JOIN public.devices g ON g.id = d.gateway_id
WHERE d.id = %(device_id)s

-- name: add_command
-- A new command, unless its idempotency key was used: then no row, and command_by_key has it.
-- Another transaction with the same key is waited for.
INSERT INTO public.commands
    (cmd_id, tenant_id, device_id, op, params, sent_by, created_at, expires_at, times_out_at,
     idempotency_key, request_hash)
VALUES (%(cmd_id)s, %(tenant_id)s, %(device_id)s, %(op)s, %(params)s, %(sent_by)s,
        %(created_at)s, %(expires_at)s, %(times_out_at)s, %(idempotency_key)s, %(request_hash)s)
ON CONFLICT (tenant_id, idempotency_key) DO NOTHING
RETURNING cmd_id, params

-- name: command_by_key
-- What a key was used for.
SELECT c.cmd_id, c.request_hash
FROM public.commands c
WHERE c.tenant_id = %(tenant_id)s AND c.idempotency_key = %(idempotency_key)s

-- name: lock_publishing
-- Nobody else publishes this command until the transaction ends. A lock of its own rather than
-- the row's: the device's ack may come before the publisher's answer, and must not wait for it.
SELECT pg_catalog.pg_advisory_xact_lock(
    pg_catalog.hashtextextended('traksense.command ' || %(cmd_id)s::text, 0))

-- name: command_to_publish
-- A command that still has to be published, as it was stored.
SELECT t.slug, s.slug, d.name, c.cmd_id, c.op, c.params, c.sent_by, c.expires_at
FROM public.commands c
JOIN public.devices d ON d.id = c.device_id
JOIN public.tenants t ON t.id = d.tenant_id
JOIN public.sites s ON s.id = d.site_id
WHERE c.cmd_id = %(cmd_id)s AND c.published_at IS NULL AND c.status = 'pending'
  AND c.expires_at > %(now)s

-- name: command_published
-- The broker has it.
UPDATE public.commands SET published_at = %(now)s
WHERE cmd_id = %(cmd_id)s AND published_at IS NULL

-- name: command
-- One command of a device.
SELECT c.cmd_id, c.device_id, c.op, c.params, c.sent_by, c.status, c.created_at, c.expires_at,
       c.published_at, c.acked_at, c.ts_exec, c.err
FROM public.commands c
WHERE c.device_id = %(device_id)s AND c.cmd_id = %(cmd_id)s

-- name: commands_page
-- A device's commands, newest first, before a key. A device without any gives one row of NULLs,
-- and no device gives none: the caller tells the two apart in one round trip. The index
-- (device_id, cmd_id DESC) gives the order, and the limit ends the reading.
SELECT c.cmd_id, d.id, c.op, c.params, c.sent_by, c.status, c.created_at, c.expires_at,
       c.published_at, c.acked_at, c.ts_exec, c.err
FROM public.devices d
LEFT JOIN LATERAL (
    SELECT *
    FROM public.commands k
    WHERE k.device_id = d.id
      AND (%(before)s::text IS NULL OR k.cmd_id < %(before)s::text)
      AND (%(status)s::text IS NULL OR k.status = %(status)s::text)
      AND (%(op)s::text IS NULL OR k.op = %(op)s::text)
      AND (%(start)s::timestamptz IS NULL OR k.created_at >= %(start)s::timestamptz)
      AND (%(end)s::timestamptz IS NULL OR k.created_at < %(end)s::timestamptz)
    ORDER BY k.cmd_id DESC
    LIMIT %(limit)s
) c ON true
WHERE d.id = %(device_id)s
ORDER BY c.cmd_id DESC
