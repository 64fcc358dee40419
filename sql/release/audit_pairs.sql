-- One slice of recommendations as index pairs, against all seen pairs: duplicates, items that must not
-- be recommended again and are not marked as repeated, and reasons that are not in the user's history.
WITH listed AS MATERIALIZED (
  SELECT u.user_index, i.item_index, because.item_index AS reason_index, r.source
  FROM (SELECT * FROM {{ table }} WHERE {{ slice }}) AS r
  JOIN {{ users }} AS u ON u.user_id = r.user_id
  JOIN {{ items }} AS i ON i.item_id = r.item_id
  LEFT JOIN {{ items }} AS because ON because.item_id = r.reason_item_id
),
seen AS MATERIALIZED (
  SELECT user_index, item_index, barred
  FROM {{ entries }}
  WHERE user_index BETWEEN (SELECT min(user_index) FROM listed) AND (SELECT max(user_index) FROM listed)
)
SELECT
  (SELECT count(*) FROM listed) - (SELECT count(*) FROM (SELECT DISTINCT user_index, item_index FROM listed))
    AS duplicates,
  (SELECT count(*) FROM listed SEMI JOIN (FROM seen WHERE barred) AS barred USING (user_index, item_index) WHERE source <> {{ repeat_source }}) AS seen,
  (
    SELECT count(*)
    FROM (SELECT user_index, reason_index AS item_index FROM listed WHERE reason_index IS NOT NULL)
    ANTI JOIN seen USING (user_index, item_index)
  ) AS unfounded
