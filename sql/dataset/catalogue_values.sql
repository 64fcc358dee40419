{% from "interactions/macros.sql" import typed_id %}
-- A catalogue's attributes with ids of the same type as in the logs; a value counts once per id.
SELECT DISTINCT {{ typed_id("id_text", id_type) }} AS id, name, value
FROM {{ relation }}
WHERE {{ typed_id("id_text", id_type) }} IS NOT NULL
