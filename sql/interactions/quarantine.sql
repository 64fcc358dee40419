-- Quarantined rows to inspect: file name, line, rule, the original row, and the fields that could
-- be read.
{% if classified %}
SELECT
    f.file,
    q.line,
    q.rule,
    q.raw,
    q.user_id,
    q.item_id,
    q.timestamp,
    q.file_id,
    CASE
        WHEN q.rule IN ('timestamp_out_of_range', 'timestamp_after_file') THEN 'unknown'
        ELSE coalesce(CAST(q.event_date AS STRING), 'unknown')
    END AS event_date
FROM quarantined AS q
JOIN source_files AS f ON q.file_id = f.file_id
{% endif %}
{% if classified and rejects %}
UNION ALL
{% endif %}
{% if rejects %}
SELECT
    f.file,
    r.line,
    r.rule,
    r.raw,
    CAST(NULL AS {{ user_id_type }}) AS user_id,
    CAST(NULL AS {{ item_id_type }}) AS item_id,
    CAST(NULL AS TIMESTAMP) AS timestamp,
    r.file_id,
    'unknown' AS event_date
FROM rejects AS r
JOIN source_files AS f ON r.file_id = f.file_id
{% endif %}
