-- What one user did, an item a row, the latest first.
SELECT i.item_id, i.title, max(s.timestamp) AS last, count(*) AS events
FROM {{ sequences }} AS s
JOIN {{ items }} AS i ON i.item_index = s.item_index
WHERE s.user_index = {{ user }}
GROUP BY i.item_id, i.title
ORDER BY last DESC, i.item_id
LIMIT {{ limit }}
