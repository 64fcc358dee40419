-- The items of one column against the catalogue: rows whose item is unknown, unavailable or blocked.
WITH used AS (
  SELECT {{ item }} AS item_id, count(*) AS rows
  FROM {{ table }}
  WHERE {{ item }} IS NOT NULL
  GROUP BY ALL
)
SELECT
  coalesce(sum(u.rows) FILTER (WHERE i.item_id IS NULL), 0) AS unknown,
  coalesce(sum(u.rows) FILTER (WHERE NOT i.available), 0) AS unavailable,
  coalesce(sum(u.rows) FILTER (WHERE u.item_id IN (SELECT item_id FROM blocked)), 0) AS blocked
FROM used AS u
LEFT JOIN {{ items }} AS i ON i.item_id = u.item_id
