-- The sparse matrix: one row per user and item. The weight is 1 + alpha * ln(1 + strength), as in
-- Hu, Koren and Volinsky (2008), section 4. It is 0 for pairs that only count as seen. Barred pairs are
-- not recommended again.
SELECT
    u.user_index,
    i.item_index,
    CAST(
        CASE WHEN p.strength > 0 THEN round(1 + {{ alpha }} * ln(1 + p.strength / 1e6), 6) ELSE 0 END
        AS FLOAT
    ) AS weight,
    p.strength > 0 AND u.trained AND i.trained AS trained,
    p.barred
FROM pairs AS p
JOIN users AS u ON p.user_id = u.user_id
JOIN items AS i ON p.item_id = i.item_id
