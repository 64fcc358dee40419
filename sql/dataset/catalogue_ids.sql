{% from "interactions/macros.sql" import typed_id %}
-- A catalogue's rows with ids of the same type as in the logs; only the last row of an id counts.
SELECT *
FROM (
    SELECT
        {{ typed_id("id_text", id_type) }} AS id,
        title,
        available,
        line,
        row_number() OVER (PARTITION BY {{ typed_id("id_text", id_type) }} ORDER BY line DESC) AS occurrence
    FROM {{ relation }}
) AS typed
WHERE occurrence = 1 AND id IS NOT NULL
