"""Engine and sessions, every table, migrations, named values, advisory locks. Uses errors and i18n."""
