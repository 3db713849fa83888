-- Exports as the API asks for them: in a tenant's sight, or over all as traksense_ops.

-- name: lock_exports
-- One export of a tenant is added at a time, so that what counts them counts all.
SELECT pg_catalog.pg_advisory_xact_lock(
    pg_catalog.hashtextextended('traksense.exports ' || %(tenant_id)s::text, 0));

-- name: export_by_key
-- What a key was used for.
SELECT e.id, e.request_hash
FROM public.exports e
WHERE e.tenant_id = %(tenant_id)s AND e.idempotency_key = %(idempotency_key)s;

-- name: count_running_exports
-- How many exports of a tenant have not ended.
SELECT count(*) FROM public.exports e
WHERE e.tenant_id = %(tenant_id)s AND e.status IN ('PENDING', 'PROCESSING');

-- name: export_device
-- A device by id or name.
SELECT d.id, d.name FROM public.devices d
WHERE d.tenant_id = %(tenant_id)s
  AND (d.id = %(device_id)s::uuid OR d.name = %(device_name)s::text);

-- name: export_points
-- Points by id or, of one device, by name, each with what was asked for.
SELECT p.id, p.name, p.type
FROM public.points p
WHERE p.tenant_id = %(tenant_id)s
  AND (%(device_id)s::uuid IS NULL OR p.device_id = %(device_id)s::uuid)
  AND (p.id = ANY (%(ids)s::uuid[]) OR p.name = ANY (%(names)s::text[]));

-- name: add_export
-- An export of a tenant that is not being erased. Its language is what was asked for, else the
-- person's, else the tenant's.
INSERT INTO public.exports
    (tenant_id, requested_by, email, locale, device_id, device_name, point_ids, point_names,
     range_from, range_to, agg, format, for_spreadsheet, time_zone, idempotency_key, request_hash)
SELECT t.id, %(requested_by)s, %(email)s, coalesce(%(locale)s::text, u.locale, t.locale),
       %(device_id)s, %(device_name)s, %(point_ids)s::uuid[], %(point_names)s::text[],
       %(start)s, %(end)s, %(agg)s, %(format)s, %(for_spreadsheet)s, t.time_zone,
       %(idempotency_key)s, %(request_hash)s
FROM public.tenants t
LEFT JOIN public.users u ON u.tenant_id = t.id AND u.email = %(email)s
WHERE t.id = %(tenant_id)s AND t.erasing_at IS NULL
RETURNING id;

-- name: export
-- One export. What is due to go has gone, whoever has yet to remove it; rows are counted over the
-- parts while there is no file. Its e-mail is awaited for as long as the upkeep tries.
SELECT e.id, e.tenant_id, t.slug, e.attempt,
       CASE WHEN e.status = 'COMPLETED' AND e.expires_at <= pg_catalog.now() THEN 'EXPIRED'
            ELSE e.status END,
       e.email, e.locale, e.device_id, e.device_name, e.point_ids, e.point_names,
       e.range_from, e.range_to, e.agg, e.format, e.for_spreadsheet, e.time_zone,
       e.planned_rows, coalesce(e.record_count, c.rows), e.file_size, e.file_key, e.file_name,
       e.sha256, e.error, e.created_at, e.started_at, e.finished_at, e.expires_at,
       CASE WHEN e.notified_at IS NOT NULL THEN 'sent'
            WHEN e.mail_refused_at IS NOT NULL THEN 'refused'
            WHEN e.status = 'CANCELLED' THEN NULL
            WHEN e.finished_at IS NULL OR e.status <> 'EXPIRED' AND e.files_removed_at IS NULL
                 AND e.finished_at > pg_catalog.now() - %(told_within)s THEN 'pending'
            ELSE 'unsent' END
FROM public.exports e
JOIN public.tenants t ON t.id = e.tenant_id
LEFT JOIN LATERAL (
    SELECT sum(coalesce(k.row_count, k.rows_so_far))::bigint AS rows
    FROM public.export_chunks k
    WHERE k.export_id = e.id AND e.record_count IS NULL AND e.status <> 'PENDING'
) c ON true
WHERE e.id = %(export_id)s;

-- name: exports_page
-- Exports newest first, before a key. The index (tenant_id, created_at DESC, id DESC), or that of
-- all tenants for operators, gives the order and the limit ends the reading; parts are counted of
-- the page's exports alone.
SELECT e.id, e.tenant_id, t.slug, e.attempt, e.shown,
       e.email, e.locale, e.device_id, e.device_name, e.point_ids, e.point_names,
       e.range_from, e.range_to, e.agg, e.format, e.for_spreadsheet, e.time_zone,
       e.planned_rows, coalesce(e.record_count, c.rows), e.file_size, e.file_key, e.file_name,
       e.sha256, e.error, e.created_at, e.started_at, e.finished_at, e.expires_at,
       CASE WHEN e.notified_at IS NOT NULL THEN 'sent'
            WHEN e.mail_refused_at IS NOT NULL THEN 'refused'
            WHEN e.status = 'CANCELLED' THEN NULL
            WHEN e.finished_at IS NULL OR e.status <> 'EXPIRED' AND e.files_removed_at IS NULL
                 AND e.finished_at > pg_catalog.now() - %(told_within)s THEN 'pending'
            ELSE 'unsent' END
FROM (
    SELECT x.*, s.shown
    FROM public.exports x
    CROSS JOIN LATERAL (
        SELECT CASE WHEN x.status = 'COMPLETED' AND x.expires_at <= pg_catalog.now()
                    THEN 'EXPIRED' ELSE x.status END AS shown
    ) s
    WHERE (%(tenant_id)s::uuid IS NULL OR x.tenant_id = %(tenant_id)s::uuid)
      AND (%(status)s::text IS NULL OR s.shown = %(status)s::text)
      AND (%(before_at)s::timestamptz IS NULL
           OR (x.created_at, x.id) < (%(before_at)s::timestamptz, %(before_id)s::uuid))
    ORDER BY x.created_at DESC, x.id DESC
    LIMIT %(limit)s
) e
JOIN public.tenants t ON t.id = e.tenant_id
LEFT JOIN LATERAL (
    SELECT sum(coalesce(k.row_count, k.rows_so_far))::bigint AS rows
    FROM public.export_chunks k
    WHERE k.export_id = e.id AND e.record_count IS NULL AND e.status <> 'PENDING'
) c ON true
ORDER BY e.created_at DESC, e.id DESC;

-- name: export_parts
-- The parts of an export, in the file's order.
SELECT k.number, k.planned_rows, coalesce(k.row_count, k.rows_so_far), k.byte_count, k.sha256
FROM public.export_chunks k
WHERE k.export_id = %(export_id)s
ORDER BY k.number;

-- name: cancel_export
-- Ends an export that has not ended; its steps see that and stop.
UPDATE public.exports SET status = 'CANCELLED', finished_at = pg_catalog.now()
WHERE tenant_id = %(tenant_id)s AND id = %(export_id)s AND status IN ('PENDING', 'PROCESSING');

-- name: lose_export
-- The file is not there: nobody is told that it is.
UPDATE public.exports SET status = 'EXPIRED'
WHERE tenant_id = %(tenant_id)s AND id = %(export_id)s AND status = 'COMPLETED';

-- name: find_export_link
-- Whose export a mailed link opens, as long as it is good. Run in nobody's sight.
SELECT l.tenant_id, l.export_id FROM public.find_export_link(%(digest)s) l
WHERE l.export_id IS NOT NULL;
