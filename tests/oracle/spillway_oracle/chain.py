"""Who else may have a packet's connection: docs/contract.md, "What travels with a packet"."""

from . import flowhash


def asked(service, pool, value: int, cluster_row: int, first) -> list:
    """Up to three Backends, the likelier first."""
    before = (service.earlier[cluster_row] + [None, None])[:2]
    candidates = [
        node(pool, value, 1),
        node(before[0], value, 0),
        node(before[0], value, 1),
        node(pool, value, 2),
        node(before[1], value, 0),
    ]
    found = []
    for owner, owners_pool in filter(None, candidates):
        backend = owner if owner.serving else stand_in(owners_pool, value)
        if backend is not None and backend not in [first, *found] and may_ask(first, backend) and len(found) < 3:
            found.append(backend)
    return found


def node(pool, value: int, age: int):
    """(Backend, its pool): the owner of the flow's row now (`age` 0), before, or before that; or None."""
    if pool is None or not pool.table:
        return None
    row = flowhash.node_row(value, pool.rows)
    owners = [pool.table[row], *pool.earlier[row]]
    return (owners[age], pool) if age < len(owners) else None


def stand_in(pool, value: int):
    """Who takes the packets of one that does not serve: one of two other rows' owners, or the last that serves."""
    for attempt in (1, 2):
        backend = pool.table[flowhash.fallback_row(value, pool.rows, attempt)]
        if backend.serving:
            return backend
    last = pool.last_serving
    return last if last is not None and last.serving else None


def may_ask(first, other) -> bool:
    """Whether the packet can be sent on from one to the other."""
    return len(first.address) == len(other.address) and other.chained and not other.local
