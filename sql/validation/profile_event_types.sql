-- Events per type; events without a type count as ''.
SELECT
    coalesce(event_type, '') AS event_type,
    count(*) AS events
FROM events
WHERE recent
GROUP BY coalesce(event_type, '')
ORDER BY coalesce(event_type, '')
