-- The outcome of each row. Rows of forgotten users are always excluded. The first that applies
-- decides about any other row: it breaks a rule (quarantined), it is left out on purpose
-- (excluded), it exactly repeats an earlier row (duplicate), or it is accepted.
SELECT
    file_id,
    line,
{% if elements %}
    element,
{% endif %}
    user_id,
    item_id,
    timestamp,
    event_date,
    event_type,
    value,
    weight,
    session_id,
    position,
{% for name in attributes %}
    {{ name }},
{% endfor %}
    rest,
    coalesce(broken, left_out) AS rule,
    CASE WHEN broken IS NOT NULL THEN {{ raw }} END AS raw,
    -- only accepted rows are partitioned by day: a broken row can have any day
    CASE WHEN broken IS NULL AND left_out IS NULL AND NOT repeated THEN CAST(event_date AS STRING) ELSE 'none' END AS day,
    CASE
        WHEN broken IS NOT NULL THEN 'quarantined'
        WHEN left_out IS NOT NULL THEN 'excluded'
        WHEN repeated THEN 'duplicate'
        ELSE 'accepted'
    END AS outcome
FROM (
    SELECT
        d.*,
        r.line IS NOT NULL AS repeated,
        CASE
{% if forgotten %}
            WHEN g.user_id IS NOT NULL THEN NULL
{% endif %}
{% if elements %}
            WHEN d.element = '0' THEN NULL
{% endif %}
            WHEN d.user_text IS NULL THEN 'user_missing'
            WHEN d.user_id IS NULL THEN 'user_unreadable'
            WHEN d.item_text IS NULL THEN 'item_missing'
            WHEN d.item_id IS NULL THEN 'item_unreadable'
            WHEN d.timestamp_text IS NULL THEN 'timestamp_missing'
            WHEN d.timestamp IS NULL THEN 'timestamp_unreadable'
            WHEN d.event_date < DATE {{ min_date }} OR d.event_date > DATE {{ max_date }} THEN 'timestamp_out_of_range'
            WHEN d.event_date > f._last_day THEN 'timestamp_after_file'
{% if event_types_known %}
            WHEN d.event_type IS NULL THEN 'event_type_missing'
            WHEN d.event_type NOT IN (SELECT event_type FROM event_weights) THEN 'event_type_unknown'
{% endif %}
{% for name in ("value", "weight") %}
            WHEN d.{{ name }} IS NULL AND d.{{ name }}_text IS NOT NULL THEN '{{ name }}_unreadable'
            WHEN d.{{ name }} IS NOT NULL AND d.{{ name }} NOT BETWEEN -1e308 AND 1e308 THEN '{{ name }}_not_finite'
{% endfor %}
            WHEN d.weight < 0 THEN 'weight_negative'
            WHEN d.position IS NULL AND d.position_text IS NOT NULL THEN 'position_unreadable'
{% for rule in quarantine %}
            WHEN {{ rule.where }} THEN '{{ rule.name }}'
{% endfor %}
        END AS broken,
        {% if exclude or forgotten or elements %}
        CASE
{% if forgotten %}
            WHEN g.user_id IS NOT NULL THEN 'forgotten'
{% endif %}
{% if elements %}
            WHEN d.element = '0' THEN 'no_elements'
{% endif %}
{% for rule in exclude %}
            WHEN {{ rule.where }} THEN '{{ rule.name }}'
{% endfor %}
        END
        {% else %}
        CAST(NULL AS STRING)
        {% endif %}
        AS left_out
    FROM dated_rows AS d
    LEFT JOIN repeated_rows AS r ON d.file_id = r.file_id AND d.line = r.line{{ " AND d.element = r.element" if elements }}
    LEFT JOIN file_days AS f ON d.file_id = f.file_id
{% if forgotten %}
    LEFT JOIN forgotten_users AS g ON d.user_id = g.user_id
{% endif %}
) AS classified
