"""Many images: each is judged by the same function, here in processes of this machine or on the workers of a Dask cluster.

``work`` is that function; a ``cell`` is the process that it runs in, and ``cells`` starts, asks and replaces them; ``engine`` spreads the
jobs; ``results`` keeps the reports; ``summary`` is what is said of all of them, and ``report`` how.
"""
