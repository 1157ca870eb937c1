-- SPDX-License-Identifier: MIT
--
-- Tables of a small cloud's control plane. Every constraint has a name, because the code maps names
-- to errors.
--
-- Rows are deleted softly (time_deleted), so names are unique among rows not deleted, and a
-- foreign key would accept a deleted parent. Instead, a transaction that adds a child increments the
-- generation of the parent, if it is not deleted: that proves it exists, and locks it.
--
-- Firewall rules and routes are hard-deleted: a VPC may have a million of them, and their history is
-- not needed. The VPC and its routers stay, soft-deleted. The table of jobs (bulk_job), which records
-- the progress of such a delete, and those of versions belong to batchq: schema.py creates them.

CREATE TABLE silo (
    id            uuid        NOT NULL CONSTRAINT silo_pkey PRIMARY KEY,
    name          varchar(63) NOT NULL,
    rcgen         bigint      NOT NULL DEFAULT 1,
    time_created  timestamptz NOT NULL DEFAULT now(),
    time_deleted  timestamptz
);
CREATE UNIQUE INDEX lookup_silo_by_name ON silo (name) WHERE time_deleted IS NULL;

-- A limit is a CHECK on a counter: the server enforces it, and no rows are counted.
CREATE TABLE silo_limits (
    silo_id         uuid   NOT NULL CONSTRAINT silo_limits_pkey PRIMARY KEY,
    projects_used   bigint NOT NULL DEFAULT 0,
    projects_limit  bigint NOT NULL,
    CONSTRAINT silo_limits_projects_within_limit CHECK (projects_used <= projects_limit)
);

CREATE TABLE project (
    id            uuid         NOT NULL CONSTRAINT project_pkey PRIMARY KEY,
    silo_id       uuid         NOT NULL,
    name          varchar(63)  NOT NULL,
    description   varchar(512) NOT NULL,
    vpcs_used     bigint       NOT NULL DEFAULT 1,  -- a project comes with its default VPC
    vpcs_limit    bigint       NOT NULL DEFAULT 10,
    rcgen         bigint       NOT NULL DEFAULT 1,
    time_created  timestamptz  NOT NULL DEFAULT now(),
    time_deleted  timestamptz,
    CONSTRAINT project_vpcs_within_limit CHECK (vpcs_used <= vpcs_limit)
);
CREATE UNIQUE INDEX lookup_project_by_silo ON project (silo_id, name) WHERE time_deleted IS NULL;

CREATE TABLE instance (
    id            uuid        NOT NULL CONSTRAINT instance_pkey PRIMARY KEY,
    project_id    uuid        NOT NULL,
    name          varchar(63) NOT NULL,
    time_created  timestamptz NOT NULL DEFAULT now(),
    time_deleted  timestamptz
);
CREATE UNIQUE INDEX lookup_instance_by_project ON instance (project_id, name)
    WHERE time_deleted IS NULL;

CREATE TABLE disk (
    id            uuid        NOT NULL CONSTRAINT disk_pkey PRIMARY KEY,
    project_id    uuid        NOT NULL,
    name          varchar(63) NOT NULL,
    time_created  timestamptz NOT NULL DEFAULT now(),
    time_deleted  timestamptz
);
CREATE UNIQUE INDEX lookup_disk_by_project ON disk (project_id, name) WHERE time_deleted IS NULL;

CREATE TABLE vpc (
    id                uuid        NOT NULL CONSTRAINT vpc_pkey PRIMARY KEY,
    project_id        uuid        NOT NULL,
    system_router_id  uuid        NOT NULL,
    name              varchar(63) NOT NULL,
    rcgen             bigint      NOT NULL DEFAULT 1,
    time_created      timestamptz NOT NULL DEFAULT now(),
    time_deleted      timestamptz
);
CREATE UNIQUE INDEX lookup_vpc_by_project ON vpc (project_id, name) WHERE time_deleted IS NULL;

CREATE TABLE vpc_router (
    id            uuid        NOT NULL CONSTRAINT vpc_router_pkey PRIMARY KEY,
    vpc_id        uuid        NOT NULL,
    kind          text        NOT NULL,
    name          varchar(63) NOT NULL,
    rcgen         bigint      NOT NULL DEFAULT 1,
    time_created  timestamptz NOT NULL DEFAULT now(),
    time_deleted  timestamptz,
    CONSTRAINT vpc_router_kind_known CHECK (kind IN ('system', 'custom'))
);
CREATE UNIQUE INDEX lookup_router_by_vpc ON vpc_router (vpc_id, name) WHERE time_deleted IS NULL;

-- Includes deleted rows: the routes of a deleted VPC are found by its routers, which are soft-deleted
-- by then.
CREATE UNIQUE INDEX vpc_router_vpc_id_id_key ON vpc_router (vpc_id, id);

-- A VPC and its system router are created together and refer to each other, so the foreign key is
-- checked at COMMIT. It is also why a deleted router's row stays: the row of a VPC, deleted or not,
-- refers to it.
ALTER TABLE vpc ADD CONSTRAINT vpc_system_router_id_fkey
    FOREIGN KEY (system_router_id) REFERENCES vpc_router (id) DEFERRABLE INITIALLY DEFERRED;

-- The index also gives the order in which a router's routes are deleted: one after the other, without
-- scanning those deleted already. The same holds for the index of the firewall rules.
CREATE TABLE router_route (
    id            uuid        NOT NULL CONSTRAINT router_route_pkey PRIMARY KEY,
    router_id     uuid        NOT NULL,
    name          varchar(63) NOT NULL,
    destination   cidr        NOT NULL,
    target        text        NOT NULL,
    time_created  timestamptz NOT NULL DEFAULT now(),
    description   text        NOT NULL DEFAULT '',
    row_version   integer     NOT NULL DEFAULT 0  -- the version of the code that wrote the row
);
CREATE UNIQUE INDEX lookup_route_by_router ON router_route (router_id, name);

CREATE TABLE vpc_subnet (
    id            uuid        NOT NULL CONSTRAINT vpc_subnet_pkey PRIMARY KEY,
    vpc_id        uuid        NOT NULL,
    name          varchar(63) NOT NULL,
    ipv4_block    cidr        NOT NULL,
    time_created  timestamptz NOT NULL DEFAULT now(),
    time_deleted  timestamptz
);
CREATE UNIQUE INDEX vpc_subnet_vpc_id_name_key ON vpc_subnet (vpc_id, name)
    WHERE time_deleted IS NULL;

CREATE TABLE vpc_firewall_rule (
    id            uuid        NOT NULL CONSTRAINT vpc_firewall_rule_pkey PRIMARY KEY,
    vpc_id        uuid        NOT NULL,
    name          varchar(63) NOT NULL,
    direction     text        NOT NULL,
    action        text        NOT NULL,
    protocols     text[]      NOT NULL,
    priority      integer     NOT NULL,
    time_created  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT vpc_firewall_rule_direction_known CHECK (direction IN ('inbound', 'outbound')),
    CONSTRAINT vpc_firewall_rule_action_known CHECK (action IN ('allow', 'deny')),
    CONSTRAINT vpc_firewall_rule_priority_in_range CHECK (priority BETWEEN 0 AND 65535)
);
CREATE UNIQUE INDEX lookup_firewall_by_vpc ON vpc_firewall_rule (vpc_id, name);
