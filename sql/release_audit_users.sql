-- The users of recommendations against the known users: who is unknown, missing, or has not exactly N rows.
WITH listed AS (
  SELECT user_id, count(*) AS rows FROM ${table} GROUP BY user_id
)
SELECT
  count(*) FILTER (WHERE u.user_id IS NULL) AS unknown,
  count(*) FILTER (WHERE l.user_id IS NULL) AS missing,
  count(*) FILTER (WHERE u.user_id IS NOT NULL AND l.rows <> ${n}) AS not_n
FROM listed AS l
FULL JOIN ${users} AS u ON u.user_id = l.user_id
