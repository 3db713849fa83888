-- The name map of ingestion: who a topic is, and which point a name is. All tenants, no values.

CREATE VIEW public.ingest_devices AS
SELECT d.id AS device_id, d.tenant_id, t.slug AS tenant, s.slug AS site, d.name AS device,
       d.mac, d.gateway_id, d.gateway_code, dt.adapter, dt.offline_after
FROM public.devices d
JOIN public.tenants t ON t.id = d.tenant_id
JOIN public.sites s ON s.id = d.site_id
JOIN public.device_templates dt ON dt.id = d.template_id;

CREATE VIEW public.ingest_points AS
SELECT p.device_id, dp.point_sk, p.name, p.type, p.unit, p.enum_values, p.is_contracted
FROM public.points p
JOIN public.dim_point dp ON dp.point_id = p.id;
