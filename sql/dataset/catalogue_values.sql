{% from "interactions/macros.sql" import typed_id %}
-- A catalogue's attributes with ids of the type of the logs; a value counts once for each id.
SELECT DISTINCT {{ typed_id("id_text", id_type) }} AS id, name, value
FROM {{ relation }}
WHERE {{ typed_id("id_text", id_type) }} IS NOT NULL
