-- Certificates of devices. Run in a tenant's sight, but for the broker's at the end.

-- name: things
-- Devices as things, with every certificate that they got, newest first.
SELECT d.id, t.slug, s.slug, d.name, d.mac::text, d.status, d.gateway_id IS NOT NULL,
       EXISTS (SELECT FROM public.devices c WHERE c.gateway_id = d.id),
       coalesce((
           SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
                      'id', c.id, 'certificate_id', c.certificate_id, 'arn', c.arn,
                      'fingerprint', c.fingerprint, 'status', c.status,
                      'created_at', c.created_at, 'expires_at', c.expires_at,
                      'revoked_at', c.revoked_at)
                  ORDER BY c.created_at DESC, c.id)
           FROM public.device_certificates c WHERE c.device_id = d.id), '[]')
FROM public.devices d
JOIN public.tenants t ON t.id = d.tenant_id
JOIN public.sites s ON s.id = d.site_id
WHERE d.tenant_id = %(tenant_id)s AND d.id = ANY (%(device_ids)s)
ORDER BY d.id;

-- name: lock_devices
-- Who gives a device a certificate waits here for who does so already; in one order for all.
SELECT d.id FROM public.devices d
WHERE d.tenant_id = %(tenant_id)s AND d.id = ANY (%(device_ids)s)
ORDER BY d.id
FOR NO KEY UPDATE;

-- name: note_certificates
-- New certificates as pending, of devices that may have one more. A statement of its own after the
-- lock, so that it sees what the one before has noted. %(rows)s: JSON array of {device_id,
-- thing_name, certificate_id, arn, fingerprint, serial_number, expires_at}.
INSERT INTO public.device_certificates
    (tenant_id, device_id, thing_name, certificate_id, arn, fingerprint, serial_number, status,
     expires_at)
SELECT d.tenant_id, d.id, r.thing_name, r.certificate_id, r.arn, r.fingerprint, r.serial_number,
       'pending', r.expires_at
FROM pg_catalog.jsonb_to_recordset(%(rows)s::jsonb)
    AS r(device_id uuid, thing_name text, certificate_id text, arn text, fingerprint text,
         serial_number text, expires_at timestamptz)
JOIN public.devices d ON d.id = r.device_id AND d.tenant_id = %(tenant_id)s
WHERE d.status <> 'retired'
  AND (SELECT pg_catalog.count(*) FROM public.device_certificates c
       WHERE c.device_id = d.id AND c.status <> 'revoked') < %(most)s
RETURNING certificate_id;

-- name: activate_certificates
-- Pending certificates as active; those that were turned off meanwhile stay so.
UPDATE public.device_certificates c SET status = 'active'
WHERE c.tenant_id = %(tenant_id)s AND c.certificate_id = ANY (%(certificate_ids)s)
  AND c.status = 'pending'
RETURNING c.certificate_id;

-- name: revoke_certificates
-- Certificates as revoked, once.
UPDATE public.device_certificates c
SET status = 'revoked', revoked_at = pg_catalog.clock_timestamp()
WHERE c.tenant_id = %(tenant_id)s AND c.certificate_id = ANY (%(certificate_ids)s)
  AND c.status <> 'revoked'
