-- Who belongs to which segment. Of an attribute, the {{ values }} values of the most users count, and none of a
-- single user: no row is about one person.
SELECT 'all' AS segment, 'all' AS segment_value, user_index FROM active_users
UNION ALL
SELECT 'model', model, user_index FROM active_users WHERE model IS NOT NULL
UNION ALL
SELECT
    'activity',
    CASE WHEN history < {{ light }} THEN 'new' WHEN history < {{ heavy }} THEN 'light' ELSE 'heavy' END,
    user_index
FROM active_users
{% for name in attributes %}
UNION ALL
SELECT '{{ name }}', value, user_index
FROM active_attributes
WHERE name = '{{ name }}' AND value IN (
    SELECT value
    FROM (SELECT value, count(*) AS n FROM active_attributes WHERE name = '{{ name }}' GROUP BY value) AS counted
    WHERE n > 1
    ORDER BY n DESC, value
    LIMIT {{ values }}
)
{% endfor %}
