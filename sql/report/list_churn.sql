-- For the users in two tables of ranked lists: how many users keep how many of their first
-- {{ depth }} items, at any rank.
WITH earlier AS (SELECT user_id, rank, item_id FROM {{ before }} WHERE rank <= {{ depth }} AND {{ sample }}),
later AS (SELECT user_id, rank, item_id FROM {{ after }} WHERE rank <= {{ depth }} AND {{ sample }}),
lists AS (
  SELECT later.user_id, count(earlier.item_id) AS kept, count(*) FILTER (WHERE earlier.rank = later.rank) AS in_place
  FROM later
  LEFT JOIN earlier ON earlier.user_id = later.user_id AND earlier.item_id = later.item_id
  WHERE later.user_id IN (SELECT user_id FROM earlier WHERE rank = 1)
  GROUP BY later.user_id
)
SELECT kept, count(*) AS users, count(*) FILTER (WHERE in_place = {{ depth }}) AS same
FROM lists
GROUP BY kept
ORDER BY kept
