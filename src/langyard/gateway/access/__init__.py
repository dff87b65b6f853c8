"""Who may do what over HTTP: the middleware that authenticates, and the `Access` that every route asks.

How a route uses it, in one line before it reads or changes anything:

    access = access_of(request)
    await access.thread(wanted, "read")                                  # 403 by a handler, 404 for a foreign thread
    value = await access.thread(wanted, "update", metadata=metadata)     # what handlers made of it: value["metadata"]
    filters |= await access.searching("threads", metadata=body.metadata) # for a search or a count
    invocations.start(asked, thread_id, events=…, behalf=access)         # every way to make a run

Without `auth` in langgraph.json all of these answer at once and ask nobody. A route that is made without them fails
`tests/acceptance/auth/test_matrix.py`, which knows every route.
"""

from langyard.gateway.access.access import Access, access_of
from langyard.gateway.access.principal import Asking, asking_of

__all__ = ["Access", "Asking", "access_of", "asking_of"]
