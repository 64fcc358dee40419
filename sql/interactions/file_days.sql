-- Number of accepted rows by file and day.
SELECT file_id, CAST(event_date AS STRING) AS day, count(*) AS n
FROM classified
GROUP BY file_id, CAST(event_date AS STRING)
ORDER BY file_id, day
