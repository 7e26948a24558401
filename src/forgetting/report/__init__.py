"""Run folders → the verdict in words, tables, figures and one HTML page that needs no network."""
