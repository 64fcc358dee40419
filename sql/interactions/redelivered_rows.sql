-- Rows of this ingest that an earlier ingest already accepted: equal in every column.
SELECT n.file_id, n.line
FROM {{ arrived }} AS n
WHERE EXISTS (
    SELECT 1
    FROM stored AS o
    WHERE o.user_id = n.user_id
        AND o.item_id = n.item_id
        AND o.timestamp = n.timestamp
{% for name in columns %}
        AND o.{{ name }} IS NOT DISTINCT FROM n.{{ name }}
{% endfor %}
)
