{# Expressions that several queries share. #}
{% macro typed_id(text, id_type) %}
{% if id_type == "int64" %}
    -- 17850.0 is the id 17850; 17850.5, 1e3 and numbers beyond 64 bits are not ids
    CASE
        WHEN translate(replace(concat({{ text }}, '#'), '.0#', '#'), '0123456789', '') IN ('#', '-#')
            THEN TRY_CAST(replace(replace(concat({{ text }}, '#'), '.0#', '#'), '#', '') AS BIGINT)
    END
{%- else %}
    -- 1.79353E+12 is a number that a spreadsheet has rounded: many ids may have become this one
    CASE
        WHEN {{ text }} LIKE '_%+_%' AND upper(translate({{ text }}, '0123456789.,', '')) = 'E+'
            AND {{ text }} NOT LIKE '%+' AND upper({{ text }}) NOT LIKE 'E%' THEN NULL
        ELSE {{ text }}
    END
{%- endif %}
{% endmacro %}
