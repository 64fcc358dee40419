{% from "interactions/macros.sql" import typed_id %}
-- A catalogue's rows with ids of the same type as in the logs; only the last row of
-- an id counts, by the name of its file and its line.
SELECT *
FROM (
    SELECT
        {{ typed_id("id_text", id_type) }} AS id,
        title,
        available,
        file_id,
        line,
        row_number() OVER (PARTITION BY {{ typed_id("id_text", id_type) }} ORDER BY file_id DESC, line DESC) AS occurrence
    FROM {{ relation }}
) AS typed
WHERE occurrence = 1 AND id IS NOT NULL
