-- Events per day; the day is text, so both engines return the same.
SELECT
    CAST(event_date AS STRING) AS event_date,
    count(*) AS events
FROM events
WHERE recent
GROUP BY event_date
ORDER BY event_date
