"""The doors for people: a page asks, calls core and shows; `components` hold what pages draw with."""
