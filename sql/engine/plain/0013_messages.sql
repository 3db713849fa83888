-- Messages as devices sent them, for templates that ask for it: a partition a day (UTC), made with
-- its first message and dropped with raw's retention.
--
-- A message is far too short for TOAST to compress it, and what repeats in it repeats in the next
-- one. So the messages of a day that is over are packed, those of a device and hour into arrays in
-- one row, which TOAST then compresses as a whole: a tenth of the bytes.

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
    topic text,
    payload bytea,
    packed_at timestamptz[],
    packed_topics text[],
    packed_payloads bytea[],
    CONSTRAINT m_message_key UNIQUE (device_id, received_at, message_id),
    CONSTRAINT m_message_form CHECK ((payload IS NULL) = (packed_payloads IS NOT NULL))
) PARTITION BY RANGE (received_at);
COMMENT ON TABLE public.m_message IS
    'Telemetry messages as they came. A row is one message; or, of a day that is over, a pack: up '
    'to 500 messages of a device and hour as arrays, received_at being the hour''s beginning.';
COMMENT ON COLUMN public.m_message.message_id IS
    'See public.message_id(); of a pack, its number within the hour.';

-- TOAST compresses the arrays: by lz4 where the server has it, else by pglz, which all have.
DO $$
BEGIN
    ALTER TABLE public.m_message ALTER packed_at SET COMPRESSION lz4,
        ALTER packed_topics SET COMPRESSION lz4, ALTER packed_payloads SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported OR invalid_parameter_value THEN
    NULL;
END
$$;

CREATE FUNCTION public.message_id(topic text, received_at timestamptz, payload bytea) RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog
    RETURN encode(substring(sha256(
        textsend(topic) || '\x00'::bytea || timestamptz_send(received_at) || payload
    ) FROM 1 FOR 16), 'hex')::uuid;
COMMENT ON FUNCTION public.message_id(text, timestamptz, bytea) IS
    'The first half of the SHA-256 of topic, arrival at the broker and payload: a message that is '
    'delivered again is the same one, one that is sent again is another.';

CREATE FUNCTION public.ensure_message_partition(of_day date) RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog SET TimeZone = 'UTC' SET DateStyle = 'ISO' AS $$
DECLARE
    partition text := 'm_message_' || to_char(of_day, 'YYYYMMDD');
    lower_bound timestamptz := of_day::timestamp AT TIME ZONE 'UTC';
BEGIN
    IF to_regclass('public.' || partition) IS NOT NULL THEN
        RETURN false;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('traksense.m_message partitions', 0));
    IF to_regclass('public.' || partition) IS NOT NULL THEN
        RETURN false;
    END IF;
    -- Attached, so that writers of other days do not wait for it.
    EXECUTE format(
        'CREATE TABLE public.%I (LIKE public.m_message INCLUDING ALL EXCLUDING COMMENTS, '
        'CONSTRAINT day CHECK (received_at >= %L AND received_at < %L))',
        partition, lower_bound, lower_bound + interval '1 day');
    EXECUTE format(
        'ALTER TABLE public.m_message ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
        partition, lower_bound, lower_bound + interval '1 day');
    EXECUTE format('ALTER TABLE public.%I DROP CONSTRAINT day', partition);
    RETURN true;
END
$$;
COMMENT ON FUNCTION public.ensure_message_partition(date) IS
    'Makes the partition of a UTC day of messages; whether it was missing.';

CREATE FUNCTION public.lock_messages(of_day date, is_packing boolean) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog AS $$
DECLARE
    key bigint := hashtextextended('traksense.m_message ' || of_day::text, 0);
BEGIN
    IF is_packing THEN
        PERFORM pg_advisory_xact_lock(key);
    ELSE
        PERFORM pg_advisory_xact_lock_shared(key);
    END IF;
END
$$;
COMMENT ON FUNCTION public.lock_messages(date, boolean) IS
    'Until the transaction ends, nobody packs the day, or nobody else adds to it.';

CREATE FUNCTION public.add_messages(
    device_ids uuid[], received timestamptz[], topics text[], payloads bytea[]
) RETURNS integer
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog SET TimeZone = 'UTC' SET DateStyle = 'ISO' AS $$
DECLARE
    day date;
    added integer;
BEGIN
    -- One order of locks, of days as of rows, for every writer.
    FOR day IN SELECT DISTINCT r.at::date FROM unnest(received) AS r(at) ORDER BY 1 LOOP
        PERFORM public.lock_messages(day, false);
        PERFORM public.ensure_message_partition(day);
    END LOOP;
    INSERT INTO public.m_message (received_at, device_id, message_id, topic, payload)
    SELECT r.at, r.device_id, r.id, r.topic, r.payload
    FROM (
        SELECT r.*, public.message_id(r.topic, r.at, r.payload) AS id
        FROM unnest(device_ids, received, topics, payloads) AS r(device_id, at, topic, payload)
    ) r
    WHERE NOT EXISTS (
        SELECT FROM public.m_message p
        CROSS JOIN LATERAL unnest(p.packed_at, p.packed_topics, p.packed_payloads)
            AS u(at, topic, payload)
        WHERE p.device_id = r.device_id AND p.packed_payloads IS NOT NULL
          AND p.received_at = date_bin('1 hour', r.at, '2000-01-01 00:00Z')
          AND u.at = r.at AND u.topic = r.topic AND u.payload = r.payload)
    ORDER BY r.device_id, r.at, r.id
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS added = ROW_COUNT;
    RETURN added;
END
$$;
COMMENT ON FUNCTION public.add_messages(uuid[], timestamptz[], text[], bytea[]) IS
    'Keeps messages as they came; how many were not there yet. Makes partitions that are missing.';

CREATE FUNCTION public.unpacked_days(close_after interval) RETURNS SETOF date
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog SET TimeZone = 'UTC' AS $$
DECLARE
    each record;
    found boolean;
BEGIN
    FOR each IN
        SELECT b.partition, b.first FROM public.partition_bounds('public.m_message') b
        WHERE b.ends <= now() - close_after ORDER BY b.first
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM public.%I WHERE payload IS NOT NULL)',
                       each.partition) INTO found;
        IF found THEN
            RETURN NEXT each.first::date;
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION public.unpacked_days(interval) IS
    'UTC days that ended so long ago and have messages that are in no pack, oldest first.';

CREATE FUNCTION public.pack_messages(of_day date) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog SET TimeZone = 'UTC' SET DateStyle = 'ISO'
    -- To empty the partition its table must be ours alone for a moment. Readers wait behind us.
    SET lock_timeout = '1s' AS $$
DECLARE
    partition text := 'm_message_' || to_char(of_day, 'YYYYMMDD');
    messages bigint;
BEGIN
    PERFORM public.lock_messages(of_day, true);
    -- Packs are made anew with what came late, so that a repeat is found in one place.
    EXECUTE format($packs$
        CREATE UNLOGGED TABLE public.%1$I AS
        SELECT n.hour AS received_at, n.device_id,
               lpad(to_hex((n.place - 1) / 500), 32, '0')::uuid AS message_id,
               array_agg(n.at ORDER BY n.place) AS packed_at,
               array_agg(n.topic ORDER BY n.place) AS packed_topics,
               array_agg(n.payload ORDER BY n.place) AS packed_payloads
        FROM (
            SELECT a.device_id, a.at, a.topic, a.payload, h.hour,
                   row_number() OVER (PARTITION BY a.device_id, h.hour
                                      ORDER BY a.at, a.topic, a.payload) AS place
            FROM (
                SELECT m.device_id, m.received_at AS at, m.topic, m.payload
                FROM public.%2$I m WHERE m.payload IS NOT NULL
                UNION ALL
                SELECT m.device_id, u.at, u.topic, u.payload
                FROM public.%2$I m
                CROSS JOIN LATERAL unnest(m.packed_at, m.packed_topics, m.packed_payloads)
                    AS u(at, topic, payload)
                WHERE m.packed_payloads IS NOT NULL
            ) a
            CROSS JOIN LATERAL date_bin('1 hour', a.at, '2000-01-01 00:00Z') AS h(hour)
        ) n
        GROUP BY n.device_id, n.hour, (n.place - 1) / 500
    $packs$, partition || '_packs', partition);
    EXECUTE format('TRUNCATE public.%I', partition);
    EXECUTE format(
        'INSERT INTO public.%1$I (received_at, device_id, message_id, packed_at, packed_topics,'
        ' packed_payloads) SELECT p.* FROM public.%2$I p'
        ' ORDER BY p.device_id, p.received_at, p.message_id', partition, partition || '_packs');
    EXECUTE format('SELECT coalesce(sum(cardinality(p.packed_at)), 0) FROM public.%I p',
                   partition) INTO messages;
    EXECUTE format('DROP TABLE public.%I', partition || '_packs');
    RETURN messages;
END
$$;
COMMENT ON FUNCTION public.pack_messages(date) IS
    'Packs the messages of a UTC day; how many are in its packs.';

CREATE VIEW public.raw_messages AS
SELECT m.device_id, m.message_id, m.received_at, m.topic, m.payload, m.received_at AS stored
FROM public.m_message m
WHERE m.payload IS NOT NULL
UNION ALL
SELECT m.device_id, encode(substring(sha256(
           textsend(u.topic) || '\x00'::bytea || timestamptz_send(u.at) || u.payload
       ) FROM 1 FOR 16), 'hex')::uuid,
       u.at, u.topic, u.payload,
       m.received_at
FROM public.m_message m
CROSS JOIN LATERAL unnest(m.packed_at, m.packed_topics, m.packed_payloads)
    AS u(at, topic, payload)
WHERE m.packed_payloads IS NOT NULL;
COMMENT ON VIEW public.raw_messages IS
    'All messages of all tenants, as messages_tenant shows those of one. For the owner.';

CREATE VIEW public.messages_tenant WITH (security_barrier) AS
SELECT d.tenant_id, d.id AS device_id, m.message_id, m.received_at, m.topic, m.payload,
       m.received_at AS stored
FROM public.devices d
JOIN public.m_message m ON m.device_id = d.id
WHERE d.tenant_id = public.current_tenant_id() AND m.payload IS NOT NULL
  AND m.received_at >= (
      SELECT coalesce(now() - make_interval(days => t.raw_retention_days), '-infinity')
      FROM public.tenants t WHERE t.id = public.current_tenant_id())
UNION ALL
-- message_id() spelt out: a view's functions run in the sight of who asks.
SELECT d.tenant_id, d.id, encode(substring(sha256(
           textsend(u.topic) || '\x00'::bytea || timestamptz_send(u.at) || u.payload
       ) FROM 1 FOR 16), 'hex')::uuid,
       u.at, u.topic, u.payload,
       m.received_at
FROM public.devices d
JOIN public.m_message m ON m.device_id = d.id
CROSS JOIN LATERAL unnest(m.packed_at, m.packed_topics, m.packed_payloads)
    AS u(at, topic, payload)
WHERE d.tenant_id = public.current_tenant_id() AND m.packed_payloads IS NOT NULL
  AND u.at >= (
      SELECT coalesce(now() - make_interval(days => t.raw_retention_days), '-infinity')
      FROM public.tenants t WHERE t.id = public.current_tenant_id());
COMMENT ON COLUMN public.messages_tenant.stored IS
    'Where the message lies: its own arrival, or the beginning of its packed hour. Whoever asks '
    'for received_at from a to b adds stored >= the hour of a and stored < b, and is answered '
    'sooner.';

GRANT SELECT ON public.messages_tenant TO traksense_app, traksense_readonly, traksense_ops;
GRANT EXECUTE ON FUNCTION public.add_messages(uuid[], timestamptz[], text[], bytea[])
    TO traksense_ingest;
