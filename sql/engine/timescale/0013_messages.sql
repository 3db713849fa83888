-- Messages as devices sent them, for templates that ask for it: a chunk a day (UTC), in columns
-- once the day is over, and dropped with raw's retention.

ALTER TABLE public.device_templates ADD COLUMN keep_raw boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN public.device_templates.keep_raw IS
    'Whether the telemetry messages of its devices are kept as they came.';

CREATE OR REPLACE VIEW public.ingest_devices AS
SELECT d.id AS device_id, d.tenant_id, t.slug AS tenant, s.slug AS site, d.name AS device,
       d.mac, d.gateway_id, d.gateway_code, dt.adapter, dt.offline_after, dt.keep_raw
FROM public.devices d
JOIN public.tenants t ON t.id = d.tenant_id
JOIN public.sites s ON s.id = d.site_id
JOIN public.device_templates dt ON dt.id = d.template_id;

CREATE TABLE public.m_message (
    received_at timestamptz NOT NULL,
    device_id uuid NOT NULL,
    message_id uuid NOT NULL,
    topic text NOT NULL,
    payload bytea NOT NULL,
    CONSTRAINT m_message_key UNIQUE (device_id, received_at, message_id)
);
COMMENT ON TABLE public.m_message IS 'Telemetry messages as they came.';
COMMENT ON COLUMN public.m_message.message_id IS 'See public.message_id().';
SELECT public.create_hypertable('public.m_message', public.by_range('received_at', interval '1 day'),
                                create_default_indexes => false);
ALTER TABLE public.m_message SET (
    timescaledb.enable_columnstore = true,
    timescaledb.segmentby = 'device_id',
    timescaledb.orderby = 'received_at, message_id'
);

CREATE FUNCTION public.message_id(topic text, received_at timestamptz, payload bytea) RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog
    RETURN encode(substring(sha256(
        textsend(topic) || '\x00'::bytea || timestamptz_send(received_at) || payload
    ) FROM 1 FOR 16), 'hex')::uuid;
COMMENT ON FUNCTION public.message_id(text, timestamptz, bytea) IS
    'The first half of the SHA-256 of topic, arrival at the broker and payload: a message that is '
    'delivered again is the same one, one that is sent again is another.';

CREATE OR REPLACE FUNCTION public.level_table(of_level text) RETURNS regclass
    LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT CASE of_level WHEN 'raw' THEN 'public.m_raw'::regclass
                         WHEN 'messages' THEN 'public.m_message'::regclass ELSE (
        SELECT format('%I.%I', c.materialization_hypertable_schema,
                      c.materialization_hypertable_name)::regclass
        FROM timescaledb_information.continuous_aggregates c
        WHERE c.view_schema = 'public' AND c.view_name = 'r_' || of_level) END
$$;
COMMENT ON FUNCTION public.level_table(text) IS
    'The hypertable that a level (raw, 1m, 5m, 1h, messages) is stored in.';

CREATE FUNCTION public.add_messages(
    device_ids uuid[], received timestamptz[], topics text[], payloads bytea[]
) RETURNS integer
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    added integer;
BEGIN
    INSERT INTO public.m_message (received_at, device_id, message_id, topic, payload)
    SELECT r.at, r.device_id, public.message_id(r.topic, r.at, r.payload) AS id, r.topic, r.payload
    FROM unnest(device_ids, received, topics, payloads) AS r(device_id, at, topic, payload)
    ORDER BY r.device_id, r.at, id
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS added = ROW_COUNT;
    RETURN added;
END
$$;
COMMENT ON FUNCTION public.add_messages(uuid[], timestamptz[], text[], bytea[]) IS
    'Keeps messages as they came; how many were not there yet.';

CREATE FUNCTION public.unpacked_days(close_after interval) RETURNS SETOF date
    LANGUAGE sql STABLE SET search_path = pg_catalog SET TimeZone = 'UTC' AS $$
    SELECT k.first::date FROM public.level_chunks('messages') k
    WHERE k.ends <= now() - close_after AND k.has_rows
    ORDER BY 1
$$;
COMMENT ON FUNCTION public.unpacked_days(interval) IS
    'UTC days that ended so long ago and have messages that are not in columns, oldest first.';

CREATE FUNCTION public.pack_messages(of_day date) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog SET TimeZone = 'UTC'
    -- The chunk must be ours alone for a moment. Readers and writers wait behind us.
    SET lock_timeout = '1s' AS $$
DECLARE
    messages bigint;
BEGIN
    PERFORM public.compress_chunk(k.chunk)
    FROM public.level_chunks('messages') k
    WHERE k.first = of_day::timestamp AT TIME ZONE 'UTC' AND k.has_rows;
    SELECT count(*) INTO messages FROM public.m_message m
    WHERE m.received_at >= of_day::timestamp AT TIME ZONE 'UTC'
      AND m.received_at < (of_day + 1)::timestamp AT TIME ZONE 'UTC';
    RETURN messages;
END
$$;
COMMENT ON FUNCTION public.pack_messages(date) IS
    'Puts the messages of a UTC day into columns; how many there are.';

CREATE VIEW public.raw_messages AS
SELECT m.device_id, m.message_id, m.received_at, m.topic, m.payload, m.received_at AS stored
FROM public.m_message m;
COMMENT ON VIEW public.raw_messages IS
    'All messages of all tenants, as messages_tenant shows those of one. For the owner.';

CREATE VIEW public.messages_tenant WITH (security_barrier) AS
SELECT d.tenant_id, d.id AS device_id, m.message_id, m.received_at, m.topic, m.payload,
       m.received_at AS stored
FROM public.devices d
JOIN public.m_message m ON m.device_id = d.id
WHERE d.tenant_id = public.current_tenant_id()
  AND m.received_at >= (
      SELECT coalesce(now() - make_interval(days => t.raw_retention_days), '-infinity')
      FROM public.tenants t WHERE t.id = public.current_tenant_id());
COMMENT ON COLUMN public.messages_tenant.stored IS
    'The message''s own arrival. Queries bound it beside received_at because other engines need it.';

GRANT SELECT ON public.messages_tenant TO traksense_app, traksense_readonly, traksense_ops;
GRANT EXECUTE ON FUNCTION public.add_messages(uuid[], timestamptz[], text[], bytea[])
    TO traksense_ingest;
