-- The functions' log-ins, of the embedded PostgreSQL and of others. Run by the administrator.

-- name: list_logins
-- Every log-in of the platform's functions as it stands: whether its attributes are the wanted
-- ones, the verifier of its password (only a superuser reads that), and the roles that it is a
-- member of. %(prefix)s: how their names begin.
SELECT r.rolname,
       r.rolcanlogin AND NOT r.rolinherit AND NOT r.rolsuper AND NOT r.rolcreaterole
           AND NOT r.rolcreatedb AND NOT r.rolbypassrls AND NOT r.rolreplication AS is_plain,
       r.rolconnlimit,
       r.rolpassword,
       ARRAY(SELECT g.rolname::text
             FROM pg_catalog.pg_auth_members m
             JOIN pg_catalog.pg_roles g ON g.oid = m.roleid
             WHERE m.member = r.oid
             ORDER BY g.rolname) AS member_of
FROM pg_catalog.pg_authid r
WHERE pg_catalog.starts_with(r.rolname, %(prefix)s)
ORDER BY r.rolname;

-- name: list_standing_logins
-- The log-ins of %(names)s that there are, as far as an administrator without superuser's rights
-- can read: whether they may log in, whether they inherit, most connections, and their roles.
SELECT r.rolname::text,
       r.rolcanlogin,
       r.rolinherit,
       r.rolconnlimit,
       ARRAY(SELECT DISTINCT g.rolname::text
             FROM pg_catalog.pg_auth_members m
             JOIN pg_catalog.pg_roles g ON g.oid = m.roleid
             WHERE m.member = r.oid) AS member_of
FROM pg_catalog.pg_roles r
WHERE r.rolname = ANY (%(names)s::text[])
ORDER BY r.rolname;
