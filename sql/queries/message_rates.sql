-- How many messages devices sent that come near their rate. Run by traksense_ingest.

-- name: add_minutes
-- The minutes that are not counted yet. A device that is not there any more gets none.
INSERT INTO public.device_minutes (device_id, minute, tenant_id)
SELECT s.device_id, w.minute, s.tenant_id
FROM unnest(%(device_ids)s::uuid[], %(minutes)s::timestamptz[]) AS w(device_id, minute)
JOIN public.device_state s USING (device_id)
ORDER BY s.device_id, w.minute
ON CONFLICT DO NOTHING;

-- name: lock_minutes
-- What is counted so far. Nobody else counts for these devices and minutes until the transaction
-- ends; sorted, so that two never wait for each other in a circle.
SELECT m.device_id, m.minute, m.admitted, m.kept
FROM public.device_minutes m
JOIN unnest(%(device_ids)s::uuid[], %(minutes)s::timestamptz[]) AS w(device_id, minute)
    USING (device_id, minute)
ORDER BY m.device_id, m.minute
FOR NO KEY UPDATE OF m;

-- name: kept_in_hour
-- How many dead letters of their own each device has in an hour already, and their bytes.
SELECT w.device_id, w.hour, coalesce(sum(cardinality(m.kept)), 0), coalesce(sum(m.kept_bytes), 0)
FROM unnest(%(device_ids)s::uuid[], %(hours)s::timestamptz[]) AS w(device_id, hour)
LEFT JOIN public.device_minutes m
    ON m.device_id = w.device_id AND m.minute >= w.hour AND m.minute < w.hour + interval '1 hour'
GROUP BY w.device_id, w.hour;

-- name: count_minute
-- Adds to what is counted of a locked minute.
UPDATE public.device_minutes m
SET admitted = m.admitted || %(admitted)s::integer[], kept = m.kept || %(kept)s::integer[],
    kept_bytes = m.kept_bytes + %(kept_bytes)s
WHERE m.device_id = %(device_id)s AND m.minute = %(minute)s;

-- name: flag_devices
-- Devices that sent more than they may; how many minutes that is news of.
UPDATE public.device_state s
SET over_rate_at = f.minute
FROM (
    SELECT s2.device_id, w.minute
    FROM public.device_state s2
    JOIN (
        SELECT u.device_id, max(u.minute) AS minute
        FROM unnest(%(device_ids)s::uuid[], %(minutes)s::timestamptz[]) AS u(device_id, minute)
        GROUP BY u.device_id
    ) w USING (device_id)
    WHERE s2.over_rate_at IS NULL OR s2.over_rate_at < w.minute
    ORDER BY s2.device_id
    FOR NO KEY UPDATE OF s2
) f
WHERE s.device_id = f.device_id;

-- name: count_surplus
-- One dead letter for all of a device's hour that gets none of its own: the first such message,
-- and how many there were.
INSERT INTO public.ingest_errors AS e
    (fingerprint, received_at, last_received_at, occurrences, tenant_id, device_id, topic,
     client_id, reason, detail, errors, payload)
VALUES (%(fingerprint)s, %(received_at)s, %(last_received_at)s, %(occurrences)s, %(tenant_id)s,
        %(device_id)s, %(topic)s, %(client_id)s, %(reason)s, %(detail)s, %(errors)s, %(payload)s)
ON CONFLICT (fingerprint) DO UPDATE
SET last_received_at = greatest(e.last_received_at, excluded.last_received_at),
    occurrences = least(e.occurrences::bigint + excluded.occurrences, 2147483647);
