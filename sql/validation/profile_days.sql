-- Events of each day; the day is text, so that both engines hand over the same.
SELECT
    CAST(event_date AS STRING) AS event_date,
    count(*) AS events
FROM events
GROUP BY event_date
ORDER BY event_date
