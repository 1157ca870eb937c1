-- SPDX-License-Identifier: MIT
--
-- project_create as one statement. Each part takes its rows from the one before, so that nothing is
-- written if the silo is missing; no row is returned then either. The parts all see what was there
-- before the statement, so what was written is handed on by RETURNING.
WITH silo AS (
    UPDATE silo SET rcgen = rcgen + 1
    WHERE id = %s AND time_deleted IS NULL
        AND EXISTS (SELECT FROM silo_limits WHERE silo_id = silo.id)
    RETURNING id
), limits AS (
    UPDATE silo_limits SET projects_used = projects_used + 1
    FROM silo WHERE silo_limits.silo_id = silo.id
), project AS (
    INSERT INTO project (id, silo_id, name, description)
    SELECT %s, silo.id, %s, %s FROM silo
    RETURNING id, silo_id, name, description, rcgen, time_created
), vpc AS (
    INSERT INTO vpc (id, project_id, system_router_id, name)
    SELECT %s, project.id, %s, 'default' FROM project
    RETURNING id, project_id, system_router_id, name, rcgen, time_created
), router AS (
    INSERT INTO vpc_router (id, vpc_id, kind, name)
    SELECT vpc.system_router_id, vpc.id, 'system', 'system' FROM vpc
    RETURNING id, vpc_id, kind, name, time_created
), subnet AS (
    INSERT INTO vpc_subnet (id, vpc_id, name, ipv4_block)
    SELECT %s, vpc.id, 'default', %s FROM vpc
    RETURNING id, vpc_id, name, ipv4_block, time_created
), internal AS (
    INSERT INTO vpc_firewall_rule (id, vpc_id, name, direction, action, protocols, priority)
    SELECT %s, vpc.id, 'allow-internal-inbound', 'inbound', 'allow', '{}', 65534
    FROM vpc
    RETURNING id, vpc_id, name, direction, action, protocols, priority, time_created
), ssh AS (
    INSERT INTO vpc_firewall_rule (id, vpc_id, name, direction, action, protocols, priority)
    SELECT %s, vpc.id, 'allow-ssh', 'inbound', 'allow', '{tcp}', 65534
    FROM vpc
    RETURNING id, vpc_id, name, direction, action, protocols, priority, time_created
)
SELECT project.*, vpc.*, router.*, subnet.*, internal.*, ssh.*
FROM project, vpc, router, subnet, internal, ssh
