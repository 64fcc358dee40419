{% from "interactions/macros.sql" import typed_id %}
{% macro id(name, then, now) %}
{% if then == now %}
{{ name }}
{%- elif now == "string" %}
CAST({{ name }} AS STRING) AS {{ name }}
{%- else %}
{{ typed_id(name, now) }} AS {{ name }}
{%- endif %}
{% endmacro %}
-- Stored rows of ingests with other settings, under the present types, zone and attributes. A row
-- whose id has no value of the present type is left out.
{% for group in groups %}
SELECT *
FROM (
    SELECT
        {{ id("user_id", group.user_id_type, user_id_type) }},
        {{ id("item_id", group.item_id_type, item_id_type) }},
        timestamp,
{% if group.time_zone == time_zone %}
        event_date,
{% else %}
        CAST(from_utc_timestamp(timestamp, '{{ time_zone }}') AS DATE) AS event_date,
{% endif %}
        event_type,
        value,
        weight,
        session_id,
        position,
{% for name in attributes %}
        {{ name if name in group.attributes else "CAST(NULL AS STRING) AS " ~ name }},
{% endfor %}
        file_id,
        line
    FROM interactions_{{ loop.index }}
) AS rows_{{ loop.index }}
WHERE user_id IS NOT NULL AND item_id IS NOT NULL
{% if not loop.last %}
UNION ALL
{% endif %}
{% endfor %}
