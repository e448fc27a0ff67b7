"""Engine and sessions (`database`), `tables`, `states` (enums), `migrations` (Alembic).

May use: errors, i18n.
"""
