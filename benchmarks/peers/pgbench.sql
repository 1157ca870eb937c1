-- SPDX-License-Identifier: MIT
--
-- project_create for pgbench. It has numbers only, so an id is made of two with 16 digits each: a
-- uuid is 32 hexadecimal digits, and decimal ones are.
\set number :number + 1
\set project random(1000000000000000, 9999999999999999)
\set vpc random(1000000000000000, 9999999999999999)
\set router random(1000000000000000, 9999999999999999)
\set subnet random(1000000000000000, 9999999999999999)
\set internal random(1000000000000000, 9999999999999999)
\set ssh random(1000000000000000, 9999999999999999)
\startpipeline
BEGIN;
WITH done AS (UPDATE silo SET rcgen = rcgen + 1 WHERE id = :silo::text::uuid AND time_deleted IS NULL RETURNING 1) SELECT 1 / count(*) FROM done;
INSERT INTO project (id, silo_id, name, description) VALUES ((:project::text || :project::text)::uuid, :silo::text::uuid, 'project-' || :number::text, '') RETURNING id, silo_id, name, description, rcgen, time_created;
INSERT INTO vpc (id, project_id, system_router_id, name) VALUES ((:vpc::text || :vpc::text)::uuid, (:project::text || :project::text)::uuid, (:router::text || :router::text)::uuid, 'default') RETURNING id, project_id, system_router_id, name, rcgen, time_created;
INSERT INTO vpc_router (id, vpc_id, kind, name) VALUES ((:router::text || :router::text)::uuid, (:vpc::text || :vpc::text)::uuid, 'system', 'system') RETURNING id, vpc_id, kind, name, time_created;
INSERT INTO vpc_subnet (id, vpc_id, name, ipv4_block) VALUES ((:subnet::text || :subnet::text)::uuid, (:vpc::text || :vpc::text)::uuid, 'default', '172.30.0.0/22') RETURNING id, vpc_id, name, ipv4_block, time_created;
INSERT INTO vpc_firewall_rule (id, vpc_id, name, direction, action, protocols, priority) VALUES ((:internal::text || :internal::text)::uuid, (:vpc::text || :vpc::text)::uuid, 'allow-internal-inbound', 'inbound', 'allow', '{}', 65534) RETURNING id, vpc_id, name, direction, action, protocols, priority, time_created;
INSERT INTO vpc_firewall_rule (id, vpc_id, name, direction, action, protocols, priority) VALUES ((:ssh::text || :ssh::text)::uuid, (:vpc::text || :vpc::text)::uuid, 'allow-ssh', 'inbound', 'allow', '{tcp}', 65534) RETURNING id, vpc_id, name, direction, action, protocols, priority, time_created;
WITH done AS (UPDATE silo_limits SET projects_used = projects_used + 1 WHERE silo_id = :silo::text::uuid RETURNING 1) SELECT 1 / count(*) FROM done;
COMMIT;
\endpipeline
