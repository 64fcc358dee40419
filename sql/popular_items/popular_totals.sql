-- Popularity of each item in each window, for all users and for each value of each segment.
SELECT
    'all' AS segment,
    'all' AS segment_value,
    window_hours,
    item_index,
    CAST(sum(score) AS BIGINT) AS score,
    count(*) AS users
FROM popular_scores
GROUP BY window_hours, item_index
{% for kind, names in segments.items() %}
{% for name in names %}
UNION ALL
SELECT
    '{{ name }}' AS segment,
    a.value AS segment_value,
    s.window_hours,
    s.item_index,
    CAST(sum(s.score) AS BIGINT) AS score,
    count(*) AS users
FROM popular_scores AS s
JOIN (
    SELECT o.{{ kind }}_index, v.value
    FROM {{ kind }}_attributes AS v
    JOIN {{ kind }}s AS o ON v.id = o.{{ kind }}_id
    WHERE v.name = '{{ name }}'
) AS a ON s.{{ kind }}_index = a.{{ kind }}_index
GROUP BY a.value, s.window_hours, s.item_index
{% endfor %}
{% endfor %}
