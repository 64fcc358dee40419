-- Ids of the logs that a list has only in another spelling: how many, and an example of both.
{% macro plain(id) %}
lower(trim(CAST({{ id }} AS STRING)))
{%- endmacro %}
{% macro spelled(id, way) %}
{% if way == "case or spaces" %}
{{ plain(id) }}
{%- else %}
regexp_replace(regexp_replace({{ plain(id) }}, '^0+', ''), '[.]0+$', '')
{%- endif %}
{% endmacro %}
{% for way in ways %}
SELECT
    '{{ way }}' AS way,
    count(*) AS ids,
    CAST(min(k.id) AS STRING) AS in_logs,
    min_by(c.id_text, k.id) AS in_list
FROM (
    SELECT k.{{ id }} AS id, {{ spelled("k." ~ id, way) }} AS spelled
    FROM {{ known }} AS k
    LEFT JOIN {{ catalogue }} AS same ON k.{{ id }} = same.id
    WHERE same.id IS NULL
) AS k
JOIN (
    SELECT {{ spelled("id_text", way) }} AS spelled, min(id_text) AS id_text
    FROM {{ relation }}
    WHERE id_text IS NOT NULL
    GROUP BY {{ spelled("id_text", way) }}
) AS c ON k.spelled = c.spelled
WHERE CAST(k.id AS STRING) <> c.id_text
{% if not loop.last %}UNION ALL{% endif %}

{% endfor %}
