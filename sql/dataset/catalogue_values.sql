{% from "interactions/macros.sql" import typed_id %}
-- The attributes of a catalogue's rows that count; a value counts once per id.
SELECT DISTINCT c.id, v.name, v.value
FROM (SELECT {{ typed_id("id_text", id_type) }} AS id, file_id, line, name, value FROM {{ relation }}) AS v
JOIN {{ catalogue }} AS c ON v.id = c.id AND v.file_id = c.file_id AND v.line = c.line
