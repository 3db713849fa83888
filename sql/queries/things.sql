-- Devices with an identity of their own on the local broker. Run by traksense_ops, but for the last.

-- name: list_things
-- Whom the broker lets in: devices that have a certificate which is active.
SELECT t.slug AS tenant, s.slug AS site, d.name, d.mac::text AS mac
FROM public.devices d
JOIN public.tenants t ON t.id = d.tenant_id
JOIN public.sites s ON s.id = d.site_id
WHERE d.gateway_id IS NULL
  AND EXISTS (SELECT FROM public.device_certificates c
              WHERE c.device_id = d.id AND c.status = 'active')
ORDER BY t.slug, d.name;

-- name: list_revoked
-- Certificates that let nobody in any more, with the thing that each was for.
SELECT c.serial_number, c.thing_name
FROM public.device_certificates c
WHERE c.status = 'revoked';

-- name: note_demo_certificates
-- Certificates that the demo's devices were given as files, as active ones. What is there stays:
-- one that was revoked is not good again after a restart. Run by traksense_owner. %(rows)s: JSON
-- array of {device_id, thing_name, certificate_id, arn, serial_number, expires_at}.
INSERT INTO public.device_certificates
    (tenant_id, device_id, thing_name, certificate_id, arn, fingerprint, serial_number, status,
     expires_at)
SELECT d.tenant_id, d.id, r.thing_name, r.certificate_id, r.arn, r.certificate_id,
       r.serial_number, 'active', r.expires_at
FROM pg_catalog.jsonb_to_recordset(%(rows)s::jsonb)
    AS r(device_id uuid, thing_name text, certificate_id text, arn text, serial_number text,
         expires_at timestamptz)
JOIN public.devices d ON d.id = r.device_id
ON CONFLICT DO NOTHING;
