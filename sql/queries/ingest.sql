-- name: load_devices
-- The devices that some topics name, and the children of those that are gateways, with their
-- points: what the directory in memory lacks, in one query for a whole batch. An empty site
-- stands for any: a thing's name does not tell it.
-- Columns: root (device_id of the topic's device), device_id, tenant_id, tenant, site, device,
-- mac, gateway_code, adapter, offline_after, keep_raw, status, max_messages_per_minute,
-- points [[point_sk, name, type, unit, enum_values, is_contracted], …].
WITH wanted AS (
    SELECT w.tenant, w.site, w.device
    FROM unnest(%(tenants)s::text[], %(sites)s::text[], %(devices)s::text[])
        AS w(tenant, site, device)
), own AS (
    SELECT d.*
    FROM public.ingest_devices d
    JOIN wanted w ON w.tenant = d.tenant AND w.device = d.device AND w.site IN (d.site, '')
    UNION
    SELECT d.* FROM public.ingest_devices d WHERE d.mac = ANY (%(macs)s::macaddr[])
), family AS (
    SELECT o.device_id AS root, o.* FROM own o
    UNION ALL
    SELECT o.device_id, c.*
    FROM own o JOIN public.ingest_devices c ON c.gateway_id = o.device_id
)
SELECT f.root, f.device_id, f.tenant_id, f.tenant, f.site, f.device, f.mac::text,
       CASE WHEN f.root = f.device_id THEN NULL ELSE f.gateway_code END,
       f.adapter, f.offline_after, f.keep_raw, f.status, f.max_messages_per_minute, p.points
FROM family f
CROSS JOIN LATERAL (
    SELECT coalesce(json_agg(json_build_array(
               i.point_sk, i.name, i.type, i.unit, i.enum_values, i.is_contracted)), '[]') AS points
    FROM public.ingest_points i
    WHERE i.device_id = f.device_id
) p;

-- name: copy_numbers
-- The fast way in: readings that are all numbers, none of them there yet.
COPY public.m_raw (ts, v_num, point_sk) FROM STDIN (FORMAT BINARY);

-- name: copy_readings
-- The fast way in for readings of every type.
COPY public.m_raw (ts, v_num, point_sk, v_bool, v_text, meta) FROM STDIN (FORMAT BINARY);

-- name: insert_readings
-- The sure way in: what is there already stays as it is. Rows come sorted by (point_sk, ts), so
-- that two writers of the same readings never wait for each other in a circle.
INSERT INTO public.m_raw (ts, v_num, point_sk, v_bool, v_text, meta)
SELECT r.ts, r.v_num, r.point_sk, r.v_bool, r.v_text, r.meta
FROM unnest(%(ts)b, %(v_num)b, %(point_sk)b, %(v_bool)b, %(v_text)b, %(meta)b)
    AS r(ts, v_num, point_sk, v_bool, v_text, meta)
ON CONFLICT DO NOTHING;

-- name: watermark
-- Which readings are late (microseconds since the Unix epoch; NULL: none) and the pass that their
-- minutes are marked under. Both hold until the transaction ends: the first thing in each that
-- adds readings.
SELECT w.sealed_us, w.pass FROM public.rollup_watermark() w;

-- name: mark_late
-- Minutes that are sealed and get a reading all the same: the next refresh computes them anew.
-- Sorted, like readings.
INSERT INTO public.rollup_dirty (pass, point_sk, bucket)
SELECT %(pass)s, l.point_sk, l.bucket
FROM unnest(%(point_sk)b, %(bucket)b) AS l(point_sk, bucket)
ON CONFLICT DO NOTHING;

-- name: ensure_partitions
-- The day partitions between two UTC days, where a clock or a schedule left one out.
SELECT public.ensure_raw_partitions(%(first)s::date, %(last)s::date);

-- name: touch_devices
-- last_seen and is_online of the devices that a batch heard from. Writes only where something
-- changes that a person would see: more than ten seconds, or a device that comes back. A state
-- that arrived later than the batch's messages stands. Answers how many came online, and which
-- of the devices are not there any more.
WITH heard AS MATERIALIZED (
    SELECT h.device_id, h.at, h.fresh, s.device_id IS NULL AS is_gone,
           h.fresh AND NOT s.is_online AND h.at > coalesce(s.state_at, '-infinity')
               AS comes_online,
           s.last_seen IS NULL OR h.at > s.last_seen + interval '10 seconds' AS is_later
    FROM unnest(%(device_ids)b, %(at)b, %(fresh)b) AS h(device_id, at, fresh)
    LEFT JOIN public.device_state s USING (device_id)
), due AS (
    SELECT s.device_id, h.at,
           h.fresh AND NOT s.is_online AND h.at > coalesce(s.state_at, '-infinity')
               AS comes_online
    FROM public.device_state s
    JOIN heard h USING (device_id)
    WHERE h.comes_online OR h.is_later
    ORDER BY s.device_id
    FOR NO KEY UPDATE OF s
), touched AS (
    UPDATE public.device_state s
    SET last_seen = greatest(s.last_seen, d.at),
        is_online = s.is_online OR d.comes_online,
        state_at = CASE WHEN d.comes_online OR s.is_online
                        THEN greatest(s.state_at, d.at) ELSE s.state_at END
    FROM due d
    WHERE s.device_id = d.device_id
    RETURNING d.comes_online
)
SELECT (SELECT count(*) FILTER (WHERE comes_online) FROM touched),
       (SELECT array_agg(device_id) FROM heard WHERE is_gone);

-- name: report_metadata
-- What devices say of themselves (firmware, model), written only where it is news, and only as
-- long as all of it is short: a device that makes up names without end fills no disk.
UPDATE public.device_state s
SET reported = s.reported || n.reported
FROM (
    SELECT s2.device_id, r.reported
    FROM public.device_state s2
    JOIN unnest(%(device_ids)s::uuid[], %(reported)s::jsonb[]) AS r(device_id, reported)
        USING (device_id)
    WHERE NOT s2.reported @> r.reported
      AND length((s2.reported || r.reported)::text) <= 16384
    ORDER BY s2.device_id
    FOR NO KEY UPDATE OF s2
) n
WHERE s.device_id = n.device_id;

-- name: add_dead_letters
-- Dead letters, one row a message however often it is delivered. A later arrival of the same
-- bytes is counted on the row that is there.
INSERT INTO public.ingest_errors AS e
    (fingerprint, received_at, last_received_at, tenant_id, device_id, topic, client_id,
     reason, detail, errors, payload)
SELECT l.fingerprint, l.received_at, l.received_at, l.tenant_id, l.device_id, l.topic,
       l.client_id, l.reason, l.detail, l.errors, l.payload
FROM unnest(%(fingerprints)s::bytea[], %(received_at)s::timestamptz[], %(tenant_ids)s::uuid[],
            %(device_ids)s::uuid[], %(topics)s::text[], %(client_ids)s::text[],
            %(reasons)s::text[], %(details)s::text[], %(errors)s::jsonb[], %(payloads)s::bytea[])
    AS l(fingerprint, received_at, tenant_id, device_id, topic, client_id, reason, detail,
         errors, payload)
ON CONFLICT (fingerprint) DO UPDATE
SET last_received_at = excluded.received_at, occurrences = e.occurrences + 1
WHERE excluded.received_at > e.last_received_at;
