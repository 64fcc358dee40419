-- The recommendations of one user with titles, the best first.
SELECT r.rank, r.item_id, i.title, r.score, r.source, r.reason_item_id, because.title AS reason_title
FROM {{ recommendations }} AS r
JOIN {{ users }} AS u ON u.user_id = r.user_id
LEFT JOIN {{ items }} AS i ON i.item_id = r.item_id
LEFT JOIN {{ items }} AS because ON because.item_id = r.reason_item_id
WHERE u.user_index = {{ user }} AND r.rank <= {{ limit }}
ORDER BY r.rank
