-- The dashboard of one device.

-- name: dashboard
-- All that a device's dashboard is made of, in one row: its template's panels, and its points
-- under contract in the template's order. No row where there is no such device in sight.
SELECT d.id, dt.code, dt.version, dt.dashboard, p.points
FROM public.devices d
JOIN public.device_templates dt ON dt.id = d.template_id
CROSS JOIN LATERAL (
    SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
               'id', p.id, 'name', p.name, 'type', p.type, 'labels', p.labels, 'unit', p.unit,
               'enum_values', p.enum_values, 'polarity', p.polarity,
               'hysteresis', p.hysteresis, 'limits', p.limits
           ) ORDER BY p.position, p.name), '[]') AS points
    FROM public.points p
    WHERE p.device_id = d.id AND p.is_contracted
) p
WHERE d.id = %(device_id)s
