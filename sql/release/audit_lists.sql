-- The lists of a table against those that must be there: whose is unknown, missing, or has not exactly N rows.
WITH listed AS (
  SELECT {{ key }} AS list_key, count(*) AS rows FROM {{ table }} GROUP BY ALL
)
SELECT
  count(*) FILTER (WHERE k.{{ key }} IS NULL) AS unknown,
  count(*) FILTER (WHERE l.list_key IS NULL) AS missing,
  count(*) FILTER (WHERE k.{{ key }} IS NOT NULL AND l.rows <> {{ n }}) AS not_n
FROM listed AS l
FULL JOIN {{ known }} AS k ON k.{{ key }} = l.list_key
