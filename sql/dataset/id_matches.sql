{% from "interactions/macros.sql" import typed_id %}
-- How a list of ids and the logs fit: the list's rows, those with an id, its ids, those that the logs
-- have, and ids of the logs that it lacks.
SELECT
    (SELECT count(*) FROM {{ relation }}) AS rows,
    (SELECT count({{ typed_id("id_text", id_type) }}) FROM {{ relation }}) AS readable,
    (SELECT count(*) FROM {{ catalogue }}) AS ids,
    count(c.id) AS matched,
    count(*) - count(c.id) AS missing
FROM {{ known }} AS k
LEFT JOIN {{ catalogue }} AS c ON k.{{ id }} = c.id
