-- Popularity of each item in each window: for everybody, and for each value of each segment.
SELECT 'all' AS segment, 'all' AS segment_value, window_days, item_id, CAST(sum(score) AS BIGINT) AS score, count(*) AS users
FROM popular_scores
GROUP BY window_days, item_id
{% for name in user_segments %}
UNION ALL
SELECT '{{ name }}' AS segment, a.value AS segment_value, s.window_days, s.item_id, CAST(sum(s.score) AS BIGINT) AS score, count(*) AS users
FROM popular_scores AS s
JOIN user_attributes AS a ON s.user_id = a.id AND a.name = '{{ name }}'
GROUP BY a.value, s.window_days, s.item_id
{% endfor %}
{% for name in item_segments %}
UNION ALL
SELECT '{{ name }}' AS segment, a.value AS segment_value, s.window_days, s.item_id, CAST(sum(s.score) AS BIGINT) AS score, count(*) AS users
FROM popular_scores AS s
JOIN item_attributes AS a ON s.item_id = a.id AND a.name = '{{ name }}'
GROUP BY a.value, s.window_days, s.item_id
{% endfor %}
