-- SPDX-License-Identifier: MIT
--
-- project_delete as a function. It raises what the service has to say of a refusal.
CREATE OR REPLACE FUNCTION project_delete(in_id uuid, in_rcgen bigint, in_silo_id uuid)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    in_the_way text;
BEGIN
    PERFORM FROM project WHERE id = in_id AND time_deleted IS NULL FOR UPDATE;
    IF NOT FOUND THEN
        RAISE no_data_found;
    END IF;

    SELECT name INTO in_the_way FROM instance
    WHERE project_id = in_id AND time_deleted IS NULL LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the project contains an instance: %', in_the_way;
    END IF;

    SELECT name INTO in_the_way FROM disk
    WHERE project_id = in_id AND time_deleted IS NULL LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the project contains a disk: %', in_the_way;
    END IF;

    SELECT name INTO in_the_way FROM vpc
    WHERE project_id = in_id AND time_deleted IS NULL LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the project contains a vpc: %', in_the_way;
    END IF;

    UPDATE project SET time_deleted = now(), rcgen = rcgen + 1
    WHERE id = in_id AND rcgen = in_rcgen;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'deletion failed due to concurrent modification';
    END IF;

    UPDATE silo_limits SET projects_used = projects_used - 1 WHERE silo_id = in_silo_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the silo has no limits';
    END IF;
END
$$
