"""The doors for people: thin pages. Modules that begin with `_` hold what pages share."""
