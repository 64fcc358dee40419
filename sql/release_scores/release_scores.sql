-- The sums of each row of the table. NDCG, its square and recall of a user are whole billionths, so
-- sums depend on no order and no engine; the means are taken afterwards.
SELECT
    segment,
    segment_value,
    CAST(k AS INT) AS k,
    count(*) AS users,
    count(*) FILTER (WHERE listed) AS users_listed,
    count(*) FILTER (WHERE judged) AS users_judged,
    count(*) FILTER (WHERE hits > 0) AS users_hit,
    CAST(sum(events) AS BIGINT) AS events,
    CAST(coalesce(sum(events) FILTER (WHERE listed), 0) AS BIGINT) AS events_listed,
    CAST(coalesce(sum(events_found), 0) AS BIGINT) AS events_found,
    CAST(coalesce(sum(listed_rows), 0) AS BIGINT) AS listed_rows,
    CAST(coalesce(sum(relevant) FILTER (WHERE listed), 0) AS BIGINT) AS pairs,
    CAST(coalesce(sum(hits), 0) AS BIGINT) AS hits,
    CAST(coalesce(sum(CAST(round(1e9 * hits / relevant) AS BIGINT)) FILTER (WHERE judged), 0) AS BIGINT) AS recall,
    CAST(coalesce(sum(CAST(round(1e9 * ndcg) AS BIGINT)) FILTER (WHERE judged), 0) AS BIGINT) AS ndcg,
    CAST(coalesce(sum(CAST(round(1e9 * ndcg * ndcg) AS BIGINT)) FILTER (WHERE judged), 0) AS BIGINT) AS squares
FROM (
    SELECT
        s.segment,
        s.segment_value,
        s.k,
        s.listed_rows,
        s.events_found,
        s.hits,
        a.events,
        nullif(a.relevant, 0) AS relevant,
        a.model IS NOT NULL AS listed,
        a.model IS NOT NULL AND a.relevant > 0 AS judged,
        CAST(s.gain AS DOUBLE) / CAST(i.ideal AS DOUBLE) AS ndcg
    FROM slices AS s
    JOIN active_users AS a ON s.user_index = a.user_index
    LEFT JOIN ideals AS i ON least(a.relevant, s.k) = i.n
) AS judged_slices
GROUP BY segment, segment_value, k
