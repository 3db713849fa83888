-- The roles of the platform, made before the first migration and checked at each run, so that a
-- database restored on another server finds them. Run by the administrator of the database,
-- who need not be a superuser: CREATEROLE is enough (RDS and Aurora give no more).
--
--   traksense_owner     owns everything; migrations, maintenance, erasure
--   traksense_ingest    adds readings, dead letters and device state; reads the name map
--   traksense_app       every request of a tenant
--   traksense_ops       calls of internal_ops that span tenants
--   traksense_readonly  people: metadata and the *_tenant views
--
-- They do not log in. A function's login is a member of the roles its manifest entry names, and
-- takes one for the length of a transaction.
DO $$
DECLARE
    wanted text;
    -- From 16 on, who makes a role administers it without being able to take it.
    can_take text := CASE WHEN current_setting('server_version_num')::integer >= 160000
                          THEN 'SET' ELSE 'MEMBER' END;
BEGIN
    FOREACH wanted IN ARRAY ARRAY[
        'traksense_owner', 'traksense_ingest', 'traksense_app', 'traksense_ops',
        'traksense_readonly'
    ] LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = wanted) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN NOINHERIT', wanted);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL;  -- another migration run on the same server was quicker
            END;
        END IF;
        IF NOT pg_catalog.pg_has_role(current_user, wanted, can_take) THEN
            BEGIN
                EXECUTE format('GRANT %I TO CURRENT_USER', wanted);
            EXCEPTION WHEN unique_violation THEN
                NULL;
            END;
        END IF;
    END LOOP;
    EXECUTE format('GRANT CREATE, CONNECT, TEMPORARY ON DATABASE %I TO traksense_owner',
                   pg_catalog.current_database());
END
$$;
GRANT USAGE, CREATE ON SCHEMA public TO traksense_owner;
GRANT USAGE ON SCHEMA public TO traksense_ingest, traksense_app, traksense_ops, traksense_readonly;
