-- One pass over a table of ranked lists, in file order: ranks, scores and the sort key (an expression, as the
-- table is). A list ends where the key changes.
WITH neighbours AS (
  SELECT
    {{ key }} AS list_key,
    rank,
    score,
    lag({{ key }}) OVER () AS previous_key,
    lag(rank) OVER () AS previous_rank,
    lag(score) OVER () AS previous_score
  FROM {{ table }}
)
SELECT
  count(*) AS rows,
  count(*) FILTER (WHERE NOT isfinite(score)) AS not_finite,
  count(*) FILTER (WHERE list_key < previous_key) AS unsorted,
  count(*) FILTER (
    WHERE rank <> CASE WHEN list_key = previous_key THEN previous_rank + 1 ELSE 1 END
  ) AS misranked,
  count(*) FILTER (WHERE list_key = previous_key AND score > previous_score) AS rising
FROM neighbours
