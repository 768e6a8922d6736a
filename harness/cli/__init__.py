"""Commands, options and exit statuses."""
