{% from "interactions/macros.sql" import typed_id %}
-- One row per text row, with typed values; null if the text does not fit the type.
SELECT
    file_id,
    line,
    rest,
{% if elements %}
    element,
{% endif %}
{% if unnamed %}
    rest_filled,
{% endif %}
    shape,
{% for name in texts %}
    {{ name }},
{% endfor %}
    user_text,
    item_text,
    timestamp_text,
    value_text,
    weight_text,
    position_text,
{% for name, id_type in (("user", user_id_type), ("item", item_id_type)) %}
    {{ typed_id(name ~ "_text", id_type) }} AS {{ name }}_id,
{% endfor %}
{% if is_local == "FALSE" %}
    parsed AS timestamp,
{% elif is_local == "TRUE" %}
    to_utc_timestamp(parsed, {{ time_zone }}) AS timestamp,
{% else %}
    -- a timestamp with an offset was converted when it was parsed
    CASE WHEN {{ is_local }} THEN to_utc_timestamp(parsed, {{ time_zone }}) ELSE parsed END AS timestamp,
{% endif %}
    event_type_text AS event_type,
    {{ value }} AS value,
    {{ weight }} AS weight,
    session_text AS session_id,
{% for name in attributes %}
    {{ name }},
{% endfor %}
    {{ position }} AS position
FROM raw_rows
