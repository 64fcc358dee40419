-- One row of figures about the events that a date can use, which the gate compares with its
-- thresholds. All are counts: values of events could be ids in the wrong column.
SELECT
    count(*) AS events,
    count(DISTINCT e.user_id) AS users,
    count(DISTINCT e.item_id) AS items,
    count(*) FILTER (WHERE unix_micros(e.timestamp) >= {{ until_micros }}) AS late,
{% for name in nullable %}
    count(*) - count(e.{{ name }}) AS nulls_{{ name }},
{% endfor %}
{% if min_value is not none %}
    count(*) FILTER (WHERE e.value < CAST({{ min_value }} AS DOUBLE)) AS value_low,
{% endif %}
{% if max_value is not none %}
    count(*) FILTER (WHERE e.value > CAST({{ max_value }} AS DOUBLE)) AS value_high,
{% endif %}
    count(*) FILTER (WHERE e.weight < 0) AS weight_low
FROM events AS e
WHERE e.recent
