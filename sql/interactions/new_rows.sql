-- Accepted rows of this ingest, with their day: those that an earlier ingest
-- {{ "already accepted" if repeats else "did not accept" }}.
SELECT
    a.*,
    CAST(a.event_date AS STRING) AS day
FROM arrived AS a
LEFT JOIN redelivered AS d ON a.file_id = d.file_id AND a.line = d.line{{ " AND a.element = d.element" if elements }}
WHERE d.line IS {{ "NOT " if repeats else "" }}NULL
