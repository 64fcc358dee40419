-- Rows of this ingest that an earlier ingest already accepted: equal in every column. Version 0.1
-- stored digests of values without names, in which empty columns count (`unnamed`).
SELECT n.file_id, n.line{{ ", n.element" if elements }}
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
{% if unnamed %}
        AND (
            o.rest IS NOT DISTINCT FROM n.rest
            OR CASE WHEN o.rest IN ({{ empty | join(", ") }}) THEN NULL ELSE o.rest END
                IS NOT DISTINCT FROM n.rest_filled
        )
{% else %}
        AND o.rest IS NOT DISTINCT FROM n.rest
{% endif %}
)
