"""The history of judged images: what is not ready, since when, and what changed.

``entry`` takes a report, ``schema`` says how a store holds it, ``store`` is the only door to the database, ``history`` asks, ``trend`` counts,
``page`` shows.
"""
