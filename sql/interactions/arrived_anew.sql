-- Accepted rows of this ingest that an earlier one has {{ "" if again else "not " }}accepted already, with their day.
SELECT
    a.*,
    CAST(a.event_date AS STRING) AS day
FROM arrived AS a
LEFT JOIN delivered_again AS d ON a.file_id = d.file_id AND a.line = d.line
WHERE d.line IS {{ "NOT " if again else "" }}NULL
