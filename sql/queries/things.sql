-- Devices with an identity of their own on the broker.

-- name: list_things
-- Whom the local broker lets in: every device but those behind a gateway. Run by traksense_ops.
SELECT t.slug AS tenant, s.slug AS site, d.name, d.mac::text AS mac
FROM public.devices d
JOIN public.tenants t ON t.id = d.tenant_id
JOIN public.sites s ON s.id = d.site_id
WHERE d.gateway_id IS NULL
ORDER BY t.slug, d.name;
