-- Accepted rows of each file by the day they belong to.
SELECT file_id, CAST(event_date AS STRING) AS day, count(*) AS n
FROM judged
GROUP BY file_id, CAST(event_date AS STRING)
ORDER BY file_id, day
