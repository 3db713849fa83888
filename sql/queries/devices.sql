-- name: devices_page
-- One page of the devices in sight, by tenant and name, with what each last let us know. Keyset:
-- the page after (after_tenant, after_name). Tenant by tenant, so that the unique (tenant_id,
-- name) gives each one's devices in order and the limit ends the reading: EXPLAIN shows an index
-- scan of "limit" devices in a tenant's sight, and an incremental sort over the tenants, which
-- opens no tenant after the page is full, for an operator.
SELECT page.id, page.name, t.slug, page.site, page.code, page.version, page.is_online,
       page.last_seen, page.metadata, page.created_at, page.status, page.mac, page.gateway_id,
       page.gateway_code, page.is_provisioned, page.over_rate_at
FROM public.tenants t
CROSS JOIN LATERAL (
    SELECT d.id, d.name, s.slug AS site, dt.code, dt.version, st.is_online, st.last_seen,
           d.metadata || st.reported AS metadata, d.created_at, d.status, d.mac::text AS mac,
           d.gateway_id, d.gateway_code,
           EXISTS (SELECT FROM public.device_certificates c
                   WHERE c.device_id = d.id AND c.status = 'active') AS is_provisioned,
           st.over_rate_at
    FROM public.devices d
    JOIN public.sites s ON s.id = d.site_id
    JOIN public.device_templates dt ON dt.id = d.template_id
    JOIN public.device_state st ON st.device_id = d.id
    WHERE d.tenant_id = t.id
      -- A name is never empty, so that this is one bound of the index scan on every page.
      AND d.name > CASE WHEN t.slug = %(after_tenant)s::text THEN %(after_name)s::text ELSE '' END
      AND (%(q)s::text IS NULL
           OR pg_catalog.strpos(pg_catalog.lower(d.name), pg_catalog.lower(%(q)s::text)) > 0)
      AND (%(site)s::text IS NULL OR s.slug = %(site)s::text)
      AND (%(online)s::boolean IS NULL OR st.is_online = %(online)s::boolean)
      AND (%(status)s::text IS NULL OR d.status = %(status)s::text)
      AND (%(gateway)s::uuid IS NULL OR d.gateway_id = %(gateway)s::uuid)
    ORDER BY d.name
    LIMIT %(limit)s
) page
WHERE %(after_tenant)s::text IS NULL OR t.slug >= %(after_tenant)s::text
ORDER BY t.slug, page.name
LIMIT %(limit)s

-- name: device
-- One device by id.
SELECT d.id, d.name, t.slug, s.slug, dt.code, dt.version, st.is_online, st.last_seen,
       d.metadata || st.reported, d.created_at, d.status, d.mac::text, d.gateway_id,
       d.gateway_code,
       EXISTS (SELECT FROM public.device_certificates c
               WHERE c.device_id = d.id AND c.status = 'active'),
       st.over_rate_at
FROM public.devices d
JOIN public.tenants t ON t.id = d.tenant_id
JOIN public.sites s ON s.id = d.site_id
JOIN public.device_templates dt ON dt.id = d.template_id
JOIN public.device_state st ON st.device_id = d.id
WHERE d.id = %(device_id)s

-- name: device_points
-- A device's points in its template's order, labelled in a locale. A device without points gives
-- one row of NULLs, and no device gives none: the caller tells the two apart in one round trip.
SELECT p.id, p.name, COALESCE(p.labels ->> %(locale)s::text, p.name), p.type, p.unit,
       p.enum_values, p.limits, p.is_contracted
FROM public.devices d
LEFT JOIN public.points p ON p.device_id = d.id
WHERE d.id = %(device_id)s
ORDER BY p.position, p.name

-- name: tenant_of_device
-- Whose a device is: for an operator who named no tenant, before the tenant's sight is taken.
SELECT d.tenant_id FROM public.devices d WHERE d.id = %(device_id)s
