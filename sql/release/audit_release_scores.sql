-- The rows of release_scores that contradict themselves, and figures that are no shares.
SELECT
  count(*) FILTER (
    WHERE users_listed > users OR users_judged > users_listed OR users_hit > users_judged
      OR events_listed > events OR events_found > events_listed
      OR hits > pairs OR hits > listed_rows OR users_hit > hits OR users_hit < 0
  ) AS contradictory,
  count(*) FILTER (WHERE scored_as_of >= first_date OR first_date > as_of) AS undated,
  count(*) FILTER (
    WHERE NOT coalesce(recall BETWEEN 0 AND 1, TRUE) OR NOT coalesce(ndcg BETWEEN 0 AND 1, TRUE)
      OR NOT coalesce(ndcg BETWEEN ndcg_low AND ndcg_high, TRUE)
  ) AS no_shares,
  count(*) - (SELECT count(*) FROM (SELECT DISTINCT {{ key }} FROM {{ table }})) AS repeated
FROM {{ table }}
