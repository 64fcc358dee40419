{# The views of nightshelf.duckdb; the names in braces are filled with quoted literals. #}
CREATE VIEW recommendations_with_titles AS
SELECT r.user_id, r.rank, r.item_id, i.title, r.score, r.source, r.reason_item_id, because.title AS reason_title
FROM recommendations AS r
LEFT JOIN items AS i ON i.item_id = r.item_id
LEFT JOIN items AS because ON because.item_id = r.reason_item_id;
COMMENT ON VIEW recommendations_with_titles IS 'recommendations, with the titles of the item and of the reason';

CREATE VIEW similar_items_with_titles AS
SELECT s.item_id, i.title, s.rank, s.similar_item_id, similar_item.title AS similar_title, s.score, s.source
FROM similar_items AS s
LEFT JOIN items AS i ON i.item_id = s.item_id
LEFT JOIN items AS similar_item ON similar_item.item_id = s.similar_item_id;
COMMENT ON VIEW similar_items_with_titles IS 'similar_items, with the titles of both items';

CREATE VIEW popular_items_with_titles AS
SELECT p.segment, p.segment_value, p.window_days, p.rank, p.item_id, i.title, p.score, p.users
FROM popular_items AS p
LEFT JOIN items AS i ON i.item_id = p.item_id;
COMMENT ON VIEW popular_items_with_titles IS 'popular_items, with titles';

CREATE VIEW release_info AS
SELECT
  {{ release_id }} AS release_id,
  CAST({{ as_of }} AS DATE) AS as_of,
  {{ run_id }} AS run_id,
  CAST({{ created_at }} AS TIMESTAMPTZ) AS created_at,
  CAST({{ expires_at }} AS TIMESTAMPTZ) AS expires_at,
  {{ code_version }} AS code_version,
  (SELECT count(DISTINCT user_id) FROM recommendations) AS users,
  (SELECT count(*) FROM recommendations) AS recommendations,
  (SELECT count(*) FROM items) AS items;
COMMENT ON VIEW release_info IS 'one row: which release this file is, when it was made and when it expires';
