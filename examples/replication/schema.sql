-- SPDX-License-Identifier: MIT
--
-- Artifacts that have to be on every depot. The first two tables are the service's, and say what is
-- wanted; the other two are a depot's own: a real depot has a disk, and a small table beside it.
--
-- No column has a default: a value that is unknown is an absent row or NULL, never a 0 that looks
-- like an answer.

-- The generation counts the changes of a set. Every change increments it in its own transaction, so
-- "generation 7" means one exact set of artifacts.
CREATE TABLE artifact_set (
    id          uuid   NOT NULL CONSTRAINT artifact_set_pkey PRIMARY KEY,
    generation  bigint NOT NULL
);

-- The key gives the order of the pages in which a set is read.
CREATE TABLE artifact (
    set_id  uuid NOT NULL,
    sha256  text NOT NULL,
    CONSTRAINT artifact_pkey PRIMARY KEY (set_id, sha256)
);

-- The newest state of the set that a depot was asked by. Older requests are refused.
CREATE TABLE depot_ledger (
    depot       text   NOT NULL CONSTRAINT depot_ledger_pkey PRIMARY KEY,
    generation  bigint NOT NULL,
    digest      text   NOT NULL
);

-- A copy is a row here, and a file on the disk of a real depot.
CREATE TABLE depot_copy (
    depot   text NOT NULL,
    sha256  text NOT NULL,
    CONSTRAINT depot_copy_pkey PRIMARY KEY (depot, sha256)
);
