-- The demo's configuration, laid into the database set by set. Each statement takes one JSON
-- array and leaves alone what is there already: a restart, or an operator's change, survives.

-- name: add_tenants
-- Adds the demo's tenants. %(rows)s: [{slug, name, time_zone, locale}].
INSERT INTO public.tenants (slug, name, time_zone, locale)
SELECT r.slug, r.name, r.time_zone, r.locale
FROM pg_catalog.jsonb_to_recordset(%(rows)s::jsonb)
     AS r (slug text, name text, time_zone text, locale text)
ON CONFLICT DO NOTHING;

-- name: add_sites
-- Adds the demo's sites. %(rows)s: [{tenant, slug, name}].
INSERT INTO public.sites (tenant_id, slug, name)
SELECT t.id, r.slug, r.name
FROM pg_catalog.jsonb_to_recordset(%(rows)s::jsonb) AS r (tenant text, slug text, name text)
JOIN public.tenants t ON t.slug = r.tenant
ON CONFLICT DO NOTHING;

-- name: add_device_templates
-- Adds the demo's templates for every tenant, as drafts; a version that is there is never changed.
-- Answers the codes of those that were not. %(rows)s: [{code, version, name, vendor, adapter,
-- offline_after_s, keep_raw, max_messages_per_minute, dashboard}].
INSERT INTO public.device_templates
    (code, version, name, vendor, adapter, offline_after, keep_raw, max_messages_per_minute,
     dashboard)
SELECT r.code, r.version, r.name, r.vendor, r.adapter,
       pg_catalog.make_interval(secs => r.offline_after_s), r.keep_raw,
       r.max_messages_per_minute, r.dashboard
FROM pg_catalog.jsonb_to_recordset(%(rows)s::jsonb)
     AS r (code text, version integer, name text, vendor text, adapter text,
           offline_after_s integer, keep_raw boolean, max_messages_per_minute integer,
           dashboard jsonb)
ON CONFLICT DO NOTHING
RETURNING code;

-- name: add_point_templates
-- Adds the points of templates that were just added, in the order of their position.
-- %(rows)s: [{code, version, position, name, labels, type, unit, enum_values, limits, polarity,
-- hysteresis}].
INSERT INTO public.point_templates
    (device_template_id, position, name, labels, type, unit, enum_values, limits, polarity,
     hysteresis)
SELECT dt.id, r.position, r.name, r.labels, r.type, r.unit, r.enum_values, r.limits, r.polarity,
       r.hysteresis
FROM pg_catalog.jsonb_to_recordset(%(rows)s::jsonb)
     AS r (code text, version integer, position smallint, name text, labels jsonb, type text,
           unit text, enum_values text[], limits jsonb, polarity text,
           hysteresis double precision)
JOIN public.device_templates dt
  ON dt.tenant_id IS NULL AND dt.code = r.code AND dt.version = r.version
ON CONFLICT DO NOTHING;

-- name: publish_templates
-- Publishes templates that were just added.
-- %(rows)s: [{code, version}].
UPDATE public.device_templates dt
SET published_at = now()
FROM pg_catalog.jsonb_to_recordset(%(rows)s::jsonb) AS r (code text, version integer)
WHERE dt.tenant_id IS NULL AND dt.code = r.code AND dt.version = r.version;

-- name: supersede_templates
-- The newest version before each of these is superseded by it. %(rows)s: [{code, version}].
UPDATE public.device_templates dt
SET superseded_by = n.id
FROM pg_catalog.jsonb_to_recordset(%(rows)s::jsonb) AS r (code text, version integer)
JOIN public.device_templates n
  ON n.tenant_id IS NULL AND n.code = r.code AND n.version = r.version
WHERE dt.tenant_id IS NULL AND dt.code = n.code AND dt.version < n.version
  AND dt.published_at IS NOT NULL AND dt.superseded_by IS NULL;

-- name: add_devices
-- Adds devices; those behind a gateway in a call after their gateway's.
-- %(rows)s: [{tenant, site, name, template, version, mac, gateway, gateway_code}].
INSERT INTO public.devices
    (tenant_id, site_id, template_id, name, mac, gateway_id, gateway_code)
SELECT t.id, s.id, dt.id, r.name, r.mac, g.id, r.gateway_code
FROM pg_catalog.jsonb_to_recordset(%(rows)s::jsonb)
     AS r (tenant text, site text, name text, template text, version integer, mac macaddr,
           gateway text, gateway_code text)
JOIN public.tenants t ON t.slug = r.tenant
JOIN public.sites s ON s.tenant_id = t.id AND s.slug = r.site
JOIN public.device_templates dt
  ON dt.tenant_id IS NULL AND dt.code = r.template AND dt.version = r.version
LEFT JOIN public.devices g ON g.tenant_id = t.id AND g.name = r.gateway
WHERE r.gateway IS NULL OR g.id IS NOT NULL
ORDER BY t.slug, r.name
ON CONFLICT DO NOTHING;

-- name: add_points
-- Gives the demo's devices the points of their template that they lack.
-- %(rows)s: [{tenant, name}].
INSERT INTO public.points
    (tenant_id, device_id, point_template_id, position, name, labels, type, unit, enum_values,
     limits, polarity, hysteresis)
SELECT d.tenant_id, d.id, pt.id, pt.position, pt.name, pt.labels, pt.type, pt.unit,
       pt.enum_values, pt.limits, pt.polarity, pt.hysteresis
FROM pg_catalog.jsonb_to_recordset(%(rows)s::jsonb) AS r (tenant text, name text)
JOIN public.tenants t ON t.slug = r.tenant
JOIN public.devices d ON d.tenant_id = t.id AND d.name = r.name
JOIN public.point_templates pt ON pt.device_template_id = d.template_id
WHERE NOT EXISTS (SELECT FROM public.points p WHERE p.device_id = d.id AND p.name = pt.name)
ORDER BY t.slug, d.name, pt.position
ON CONFLICT DO NOTHING;

-- name: list_tenants
-- The ids of tenants by slug. %(slugs)s: text[].
SELECT slug, id FROM public.tenants WHERE slug = ANY (%(slugs)s);

-- name: list_devices
-- Who the demo's devices are in the database. %(slugs)s: text[], the tenants' slugs.
SELECT t.slug, d.name, d.id, s.slug, dt.code, d.mac::text, g.name, d.gateway_code
FROM public.devices d
JOIN public.tenants t ON t.id = d.tenant_id
JOIN public.sites s ON s.id = d.site_id
JOIN public.device_templates dt ON dt.id = d.template_id
LEFT JOIN public.devices g ON g.id = d.gateway_id
WHERE t.slug = ANY (%(slugs)s);

-- name: mirror_users
-- Lists the demo's people as the user pool has them. %(rows)s: [{id, tenant_id, email, name, role}].
INSERT INTO public.users (id, tenant_id, email, name, role, confirmed_at)
SELECT r.id, r.tenant_id, r.email, r.name, r.role, now()
FROM pg_catalog.jsonb_to_recordset(%(rows)s::jsonb)
     AS r (id uuid, tenant_id uuid, email text, name text, role text)
ORDER BY r.email
ON CONFLICT (email) DO UPDATE
SET id = excluded.id, name = excluded.name, role = excluded.role, is_enabled = true,
    is_leaving = false, unsettled_since = NULL
WHERE public.users.tenant_id = excluded.tenant_id;
