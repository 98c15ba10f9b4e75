-- A rebuild that is divided by room among several processes: how far each part is, up to the position to which all of them go. When
-- they are there, their rows go and `read.building_tables` says that position.
SET LOCAL ROLE hansard_operator;

CREATE TABLE read.building_parts (
    group_name     text   NOT NULL,
    part           int    NOT NULL,
    parts          int    NOT NULL,
    until_position bigint NOT NULL,
    position       bigint NOT NULL,
    PRIMARY KEY (group_name, part)
);
GRANT SELECT ON read.building_parts TO hansard_gateway, hansard_worker;
RESET ROLE;

-- In which part an event is folded: that of its room, be it published there or only named in its public members, by the last digit of
-- the room's id, which is random. Files have rows of their own whatever room shows them, and are in the first part with all that is in
-- no room. Within a text these quotes would be escaped. Nothing fails on a row that was altered: any byte is taken for a digit.
CREATE FUNCTION record.part_of(room uuid, topic text, data bytea, parts int) RETURNS int LANGUAGE sql IMMUTABLE
RETURN CASE
    WHEN starts_with(topic, 'file.') THEN 0
    WHEN room IS NOT NULL THEN (get_byte(uuid_send(room), 15) & 15) % parts
    WHEN position('"room_id":"'::bytea IN data) = 0 THEN 0
    ELSE (
        (get_byte(substr(data, position('"room_id":"'::bytea IN data) + 46, 1) || '0'::bytea, 0) & 15)
        + 9 * (get_byte(substr(data, position('"room_id":"'::bytea IN data) + 46, 1) || '0'::bytea, 0) >> 6)
    ) % parts
END;
REVOKE ALL ON FUNCTION record.part_of FROM PUBLIC;
GRANT EXECUTE ON FUNCTION record.part_of TO hansard_operator;
