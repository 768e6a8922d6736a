"""One HTML page of results, in one file: no script, style or picture from elsewhere.

`page` has the values that it is made of, `render` makes the text. Only `render` imports Jinja2, and
only when it is called.
"""
