-- The certificates that devices got: who may connect, and who may no more. Never a private key.

CREATE TABLE public.device_certificates (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id uuid NOT NULL REFERENCES public.tenants,
    device_id uuid,
    thing_name text NOT NULL,
    certificate_id text NOT NULL UNIQUE CHECK (certificate_id ~ '^[0-9a-f]{64}$'),
    arn text NOT NULL,
    fingerprint text NOT NULL CHECK (fingerprint ~ '^[0-9a-f]{64}$'),
    serial_number text NOT NULL CHECK (serial_number ~ '^[0-9a-f]{1,40}$'),
    status text NOT NULL CHECK (status IN ('pending', 'active', 'revoked')),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    FOREIGN KEY (tenant_id, device_id) REFERENCES public.devices (tenant_id, id)
        ON DELETE SET NULL (device_id),
    CONSTRAINT device_certificates_revoked CHECK ((status = 'revoked') = (revoked_at IS NOT NULL)),
    -- A device is deleted after its certificates are off, whoever deletes it.
    CONSTRAINT device_certificates_ownerless CHECK (device_id IS NOT NULL OR status = 'revoked')
);
COMMENT ON COLUMN public.device_certificates.device_id IS
    'NULL: the device was deleted. Its certificate must not open the door to one of its name.';
COMMENT ON COLUMN public.device_certificates.status IS
    'pending: made, and perhaps not whole; no caller has been given it yet.';
COMMENT ON COLUMN public.device_certificates.fingerprint IS 'SHA-256 of the DER form, in hex.';
CREATE INDEX device_certificates_device_idx
    ON public.device_certificates (device_id, status) WHERE device_id IS NOT NULL;
CREATE INDEX device_certificates_tenant_idx ON public.device_certificates (tenant_id);

ALTER TABLE public.device_certificates ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.device_certificates FORCE ROW LEVEL SECURITY;
CREATE POLICY owner_all ON public.device_certificates TO traksense_owner
    USING (true) WITH CHECK (true);
CREATE POLICY ops_all ON public.device_certificates TO traksense_ops
    USING (true) WITH CHECK (true);
CREATE POLICY tenant_own ON public.device_certificates TO traksense_app
    USING (tenant_id = public.current_tenant_id())
    WITH CHECK (tenant_id = public.current_tenant_id());
GRANT SELECT, INSERT ON public.device_certificates TO traksense_app;
GRANT UPDATE (status, revoked_at) ON public.device_certificates TO traksense_app;
GRANT SELECT ON public.device_certificates TO traksense_ops;
