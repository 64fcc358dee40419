{% from "interactions/macros.sql" import typed_id %}
-- A catalogue's rows with ids of the type of the logs; the first row of an id counts, others do not.
SELECT *
FROM (
    SELECT
        {{ typed_id("id_text", id_type) }} AS id,
        title,
        available,
        row_number() OVER (PARTITION BY {{ typed_id("id_text", id_type) }} ORDER BY line) AS place
    FROM {{ relation }}
) AS typed
WHERE place = 1 AND id IS NOT NULL
