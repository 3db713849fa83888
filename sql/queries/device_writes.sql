-- Devices as operators write them. All but macs_taken run in a tenant's sight.

-- name: lock_devices
-- Who adds devices to a tenant waits here for who does so already.
SELECT pg_catalog.pg_advisory_xact_lock(
    pg_catalog.hashtextextended('traksense.devices.' || %(tenant_id)s::text, 0));

-- name: room
-- How many devices the tenant has and may have. No row where it is gone, or being erased. A
-- statement of its own after the lock, so that it sees what the one before has added.
SELECT (SELECT pg_catalog.count(*) FROM public.devices d WHERE d.tenant_id = t.id), t.max_devices
FROM public.tenants t
WHERE t.id = %(tenant_id)s AND t.erasing_at IS NULL;

-- name: macs_taken
-- Those of the MACs that a device has. Run by traksense_ops: a MAC is one device's everywhere.
SELECT d.mac::text FROM public.devices d WHERE d.mac = ANY (%(macs)s::macaddr[]);

-- name: find_named
-- What the names in new devices stand for, one row each in the list's order. %(rows)s: JSON array
-- of {n, name, site, template, version, gateway, gateway_code, points}. Points that the template
-- has not are named; a version that was not named is the newest published one.
WITH asked AS MATERIALIZED (
    SELECT r.*
    FROM pg_catalog.jsonb_to_recordset(%(rows)s::jsonb)
        AS r(n integer, name text, site text, template text, version integer, gateway text,
             gateway_code text, points text[])
), kinds AS MATERIALIZED (
    SELECT k.template, k.version AS asked_version, t.id, t.version, t.published_at,
           (SELECT pg_catalog.array_agg(p.name) FROM public.point_templates p
            WHERE p.device_template_id = t.id) AS points
    FROM (SELECT DISTINCT a.template, a.version FROM asked a) k
    CROSS JOIN LATERAL (
        SELECT dt.id, dt.version, dt.published_at
        FROM public.device_templates dt
        WHERE dt.code = k.template
          AND CASE WHEN k.version IS NULL THEN dt.published_at IS NOT NULL
                   ELSE dt.version = k.version END
        ORDER BY dt.version DESC
        LIMIT 1
    ) t
)
SELECT s.id, k.id, k.version, k.published_at IS NOT NULL, g.id, g.gateway_id IS NOT NULL,
       coalesce(g.status = 'retired', false), d.id IS NOT NULL, c.id IS NOT NULL,
       CASE WHEN k.id IS NULL OR a.points IS NULL THEN '{}'
            ELSE ARRAY(SELECT p FROM pg_catalog.unnest(a.points) AS p
                       WHERE p <> ALL (coalesce(k.points, '{}'))) END,
       coalesce(pg_catalog.cardinality(k.points), 0)
FROM asked a
LEFT JOIN public.sites s ON s.tenant_id = %(tenant_id)s AND s.slug = a.site
LEFT JOIN kinds k ON k.template = a.template AND k.asked_version IS NOT DISTINCT FROM a.version
LEFT JOIN public.devices g ON g.tenant_id = %(tenant_id)s AND g.name = a.gateway
LEFT JOIN public.devices d ON d.tenant_id = %(tenant_id)s AND d.name = a.name
LEFT JOIN public.devices c ON c.gateway_id = g.id AND c.gateway_code = a.gateway_code
ORDER BY a.n;

-- name: add_devices
-- New devices, whose neighbours are known. %(rows)s: JSON array of {id, site_id, template_id, name,
-- mac, gateway_id, gateway_code, metadata}. One statement: a gateway may be in it.
INSERT INTO public.devices
    (id, tenant_id, site_id, template_id, name, mac, gateway_id, gateway_code, metadata)
SELECT r.id, %(tenant_id)s, r.site_id, r.template_id, r.name, r.mac, r.gateway_id,
       r.gateway_code, r.metadata
FROM pg_catalog.jsonb_to_recordset(%(rows)s::jsonb)
    AS r(id uuid, site_id uuid, template_id uuid, name text, mac macaddr, gateway_id uuid,
         gateway_code text, metadata jsonb);

-- name: add_points
-- All points of the new devices' templates; those that are not contracted are there all the same,
-- so that contracting one later is a change of it. %(rows)s: JSON array of {id, points}.
INSERT INTO public.points
    (tenant_id, device_id, point_template_id, position, name, labels, type, unit, enum_values,
     limits, polarity, hysteresis, is_contracted)
SELECT d.tenant_id, d.id, p.id, p.position, p.name, p.labels, p.type, p.unit, p.enum_values,
       p.limits, p.polarity, p.hysteresis, r.points IS NULL OR p.name = ANY (r.points)
FROM pg_catalog.jsonb_to_recordset(%(rows)s::jsonb) AS r(id uuid, points text[])
JOIN public.devices d ON d.id = r.id
JOIN public.point_templates p ON p.device_template_id = d.template_id;

-- name: change_device
-- What is given of a device, in one statement; no row where there is none. A site that is given
-- and not there leaves everything as it is: the second column says so.
WITH place AS (
    SELECT s.id FROM public.sites s
    WHERE s.tenant_id = %(tenant_id)s AND s.slug = %(site)s::text
), changed AS (
    UPDATE public.devices d
    SET site_id = coalesce((SELECT id FROM place), d.site_id),
        status = coalesce(%(status)s::text, d.status),
        mac = CASE WHEN %(has_mac)s THEN %(mac)s::macaddr ELSE d.mac END,
        metadata = coalesce(%(metadata)s::jsonb, d.metadata)
    WHERE d.id = %(device_id)s AND d.tenant_id = %(tenant_id)s
      AND (%(site)s::text IS NULL OR EXISTS (SELECT FROM place))
      AND NOT (%(mac)s::text IS NOT NULL AND d.gateway_id IS NOT NULL)
    RETURNING d.id
)
SELECT EXISTS (SELECT FROM changed),
       %(site)s::text IS NULL OR EXISTS (SELECT FROM place),
       d.gateway_id IS NOT NULL
FROM public.devices d WHERE d.id = %(device_id)s AND d.tenant_id = %(tenant_id)s;

-- name: change_point
-- What is given of a point; no row where the device has none of this id. Limits are of numbers:
-- the second column says whether it is one. A label of null takes that label away.
WITH changed AS (
    UPDATE public.points p
    SET labels = CASE WHEN %(labels)s::jsonb IS NULL THEN p.labels
                      ELSE pg_catalog.jsonb_strip_nulls(p.labels || %(labels)s::jsonb) END,
        limits = CASE WHEN %(has_limits)s THEN %(limits)s::jsonb ELSE p.limits END,
        is_contracted = coalesce(%(is_contracted)s::boolean, p.is_contracted)
    WHERE p.id = %(point_id)s AND p.device_id = %(device_id)s AND p.tenant_id = %(tenant_id)s
      AND (%(limits)s::jsonb IS NULL OR p.type = 'num')
    RETURNING p.id
)
SELECT EXISTS (SELECT FROM changed)
FROM public.points p
WHERE p.id = %(point_id)s AND p.device_id = %(device_id)s AND p.tenant_id = %(tenant_id)s;

-- name: delete_device
-- A device with its points, state, events and alarms. Its points' keys go with them, so that what
-- was stored under them is seen by nobody.
DELETE FROM public.devices d WHERE d.id = %(device_id)s AND d.tenant_id = %(tenant_id)s
