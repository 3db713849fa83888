-- How many messages a device sent in a minute of its arrivals at the broker: kept for devices that
-- come near what they may send, so that the bound holds over all containers of ingestion.

CREATE OR REPLACE VIEW public.ingest_devices AS
SELECT d.id AS device_id, d.tenant_id, t.slug AS tenant, s.slug AS site, d.name AS device,
       d.mac, d.gateway_id, d.gateway_code, dt.adapter, dt.offline_after, dt.keep_raw, d.status,
       dt.max_messages_per_minute
FROM public.devices d
JOIN public.tenants t ON t.id = d.tenant_id
JOIN public.sites s ON s.id = d.site_id
JOIN public.device_templates dt ON dt.id = d.template_id;

ALTER TABLE public.device_state ADD COLUMN over_rate_at timestamptz;
COMMENT ON COLUMN public.device_state.over_rate_at IS
    'The last minute in which it sent more than its template allows.';

-- Unlogged: a crash of the server forgets minutes, not readings.
CREATE UNLOGGED TABLE public.device_minutes (
    device_id uuid NOT NULL,
    minute timestamptz NOT NULL,
    tenant_id uuid NOT NULL,
    admitted integer[] NOT NULL DEFAULT '{}',
    kept integer[] NOT NULL DEFAULT '{}',
    kept_bytes integer NOT NULL DEFAULT 0,
    PRIMARY KEY (device_id, minute),
    FOREIGN KEY (tenant_id, device_id) REFERENCES public.devices (tenant_id, id) ON DELETE CASCADE
);
COMMENT ON TABLE public.device_minutes IS
    'Messages of a device that came near its rate, by the minute of their arrival at the broker.';
COMMENT ON COLUMN public.device_minutes.admitted IS
    'Marks of the messages that count, so that one that is delivered again counts once.';
COMMENT ON COLUMN public.device_minutes.kept IS
    'Marks of those beyond the bound that are dead letters of their own.';
CREATE INDEX device_minutes_minute_idx ON public.device_minutes (minute);

ALTER TABLE public.device_minutes ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.device_minutes FORCE ROW LEVEL SECURITY;
CREATE POLICY owner_all ON public.device_minutes TO traksense_owner USING (true) WITH CHECK (true);
CREATE POLICY ingest_all ON public.device_minutes TO traksense_ingest
    USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE ON public.device_minutes TO traksense_ingest;

CREATE FUNCTION public.purge_device_minutes(before timestamptz, most integer) RETURNS integer
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog AS $$
DECLARE
    gone integer;
BEGIN
    DELETE FROM public.device_minutes m
    WHERE (m.device_id, m.minute) IN (
        SELECT o.device_id, o.minute FROM public.device_minutes o
        WHERE o.minute < before ORDER BY o.minute LIMIT most FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END
$$;
COMMENT ON FUNCTION public.purge_device_minutes(timestamptz, integer) IS
    'Deletes up to so many minutes from before this; how many.';
